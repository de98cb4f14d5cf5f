"""Fixed points on graphs: what they learn of flow through pores and of decisions, and what solves cost."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from functools import partial

import torch
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import shortest_path
from torch import Tensor, nn

import kutta as kt
from benchmarks._measure import Spread, measure
from benchmarks._report import Report, arguments, finish
from kutta.operators import Graph, GraphFixedPoint
from kutta.operators.deeponet.perceptron import Perceptron
from kutta.operators.graphs.message_passing import MessagePassing

data = kt.operators.data
Source = Callable[[int, torch.Generator], tuple[Graph, Tensor]]
GAMMAS = (0.5, 0.9, 0.99)
RATE = 5e-3


class MessagesAlone(nn.Module):
    """The same encoder and decoder without a fixed point between them, which see no farther than its layers."""

    def __init__(self, node_features: int, edge_features: int, heads: int, width: int = 32, layers: int = 3):
        super().__init__()
        self.encoder = MessagePassing(node_features, edge_features, width, layers, "silu")
        self.of_nodes, self.decoder = nn.Linear(width, heads), Perceptron((heads, width, 1), "silu")

    def forward(self, graph: Graph) -> Tensor:
        return self.decoder(self.of_nodes(self.encoder(graph)[0]))


class InUnits(nn.Module):
    """A network whose output is multiplied by the deviation of the data, and added to their mean."""

    def __init__(self, network: nn.Module, values: Tensor):
        super().__init__()
        self.network, self.mean, self.deviation = network, float(values.mean()), float(values.std())

    def forward(self, graph: Graph) -> Tensor:
        return self.mean + self.deviation * self.network(graph)


def trained(model: InUnits, source: Source, steps: int, batch: int) -> tuple[float, float]:
    """Train on fresh graphs at every step; the seconds of all of it, and of drawing and solving the graphs alone."""
    optimizer = torch.optim.Adam(model.parameters(), RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, steps, pct_start=0.1)
    generator, begun, drawing = torch.Generator().manual_seed(1), time.perf_counter(), 0.0
    for _ in range(steps):
        before = time.perf_counter()
        graph, values = source(batch, generator)
        drawing += time.perf_counter() - before
        optimizer.zero_grad()
        ((model(graph) - values) / model.deviation).square().mean().backward()
        optimizer.step()
        schedule.step()
    return time.perf_counter() - begun, drawing


@torch.no_grad()
def errors(model: nn.Module, graph: Graph, values: Tensor) -> tuple[Tensor, Tensor]:
    """Of each graph: ``|y - y*| / |y*|``, and ``|y - y*| / |y* - mean y*|``."""
    parts = list(zip(graph.split(model(graph)), graph.split(values), strict=True))
    off = torch.stack([(one - two).norm() for one, two in parts])
    sizes = torch.stack([two.norm() for _, two in parts])
    spreads = torch.stack([(two - two.mean()).norm() for _, two in parts])
    return off / sizes, off / spreads


def diameters(graph: Graph) -> Tensor:
    """The most edges that lie between two nodes, for each graph of a union whose edges go both ways."""
    ends, found = graph.edges.numpy(), []
    matrix = coo_matrix(([1.0] * ends.shape[1], ends), shape=(sum(graph.sizes),) * 2).tocsr()
    first = 0
    for size in graph.sizes:
        found.append(int(shortest_path(matrix[first : first + size, first : first + size], unweighted=True).max()))
        first += size
    return torch.tensor(found)


def learn(
    report: Report, name: str, models: dict[str, nn.Module], source: Source, steps: int, batch: int, tested: int
) -> tuple[Graph, dict[str, Tensor]]:
    """Train all of them, and report errors on new graphs; the second kind of these is returned, too."""
    columns = ("network", "weights", "minutes", "of these data", "relative L2", "relative to the deviation")
    table = report.table(f"{name}, {steps} steps of {batch} fresh graphs", *columns)
    graph, values = source(tested, torch.Generator().manual_seed(99))
    units, found = source(tested, torch.Generator().manual_seed(98))[1], {}
    for who, network in models.items():
        model = InUnits(network, units)
        seconds, drawing = trained(model, source, steps, batch)
        relative, found[who] = errors(model, graph, values)
        count = sum(one.numel() for one in model.parameters())
        table.add(who, count, seconds / 60.0, drawing / 60.0, float(relative.mean()), float(found[who].mean()))
    return graph, found


def by_diameter(report: Report, graph: Graph, found: dict[str, Tensor]) -> None:
    """Whether graphs in which news has farther to go are harder."""
    hops = diameters(graph)
    table = report.table("Pores: error relative to the deviation by diameter", "diameter", "networks", *found)
    for low, high in ((0, 8), (9, 10), (11, 12), (13, 14), (15, 100)):
        here = (hops >= low) & (hops <= high)
        if here.any():
            label = f"{int(hops[here].min())} to {int(hops[here].max())}"
            table.add(label, int(here.sum()), *(float(one[here].mean()) for one in found.values()))


def solves(report: Report, batch: int, heads: Sequence[int], repeats: int) -> None:
    """What the layer takes by each method; nothing of the error depends on it."""
    graph, _ = data.pore_networks(batch, torch.Generator().manual_seed(5))
    columns = ("heads", "gamma", "method", "most iterations of a head", "forward, ms", "with the gradient, ms")
    title = f"The layer on {batch} pore networks, {sum(graph.sizes)} pores, {graph.edges.shape[1]} edges"
    table = report.table(title, *columns)
    for count in heads:
        for gamma in GAMMAS:
            layers = {}
            for method in (kt.GMRES(), kt.Picard(), kt.Anderson()):
                torch.manual_seed(0)
                layers[type(method).__name__] = GraphFixedPoint(2, 1, 1, count, gamma=gamma, method=method)
            forward = measure({name: partial(one, graph) for name, one in layers.items()}, repeats)
            both = measure({name: partial(gradient, one, graph) for name, one in layers.items()}, repeats)
            for name, layer in layers.items():
                ms = [Spread.of([1e3 * one for one in times[name]]) for times in (forward, both)]
                table.add(count, gamma, name, int(layer.solve(graph).stats.steps.max()), *ms)


def gradient(layer: nn.Module, graph: Graph) -> None:
    layer(graph).square().mean().backward()


def networks(counts: tuple[int, int], heads: int, gammas: Sequence[float]) -> dict[str, nn.Module]:
    """Those that are compared."""
    found: dict[str, nn.Module] = {}
    torch.manual_seed(0)
    found["messages alone"] = MessagesAlone(*counts, heads)
    for gamma in gammas:
        torch.manual_seed(0)
        found[f"gamma = {gamma}"] = GraphFixedPoint(*counts, 1, heads, gamma=gamma)
    return found


NOTES = (
    "Pores: 50 to 200 at random places of a square, throats between Delaunay's neighbours with radii of 5 to 15 um, "
    "pressures 1 and 0 at two faces. The networks see log g of each throat and which pores lie on a face, no places.",
    "Decisions: 20 to 50 states, 5 to 10 actions in each that lead anywhere for rewards of 0 to 1, discount 0.9.",
    "The error relative to the deviation is 1 for a network that knows the mean of the graph and nothing else.",
    "Three layers of messages, width 32, SiLU; values in units of their mean and deviation over other graphs. Adam, "
    "a rate that rises to 5e-3 and falls in one cycle; one seed.",
)


def main(argv: Sequence[str] | None = None) -> Report:
    """Run and report."""
    options = arguments(argv, __doc__, repeats=5)
    quick = options.quick
    steps, batch, tested, heads = (3, 2, 4, 4) if quick else (400, 16, 256, 16)
    settings = {"dtype": "float32", "repeats": options.repeats, "load before": f"{os.getloadavg()[0]:.1f}"}
    report = Report("graph-fixed-point", "What do fixed points on graphs learn, and what do they cost?", settings)
    report.notes += NOTES
    solves(report, 2 if quick else 32, (4,) if quick else (16, 64), options.repeats)
    by_pores = networks((2, 1), heads, GAMMAS[:1] if quick else GAMMAS)
    by_diameter(report, *learn(report, "Pores", by_pores, data.pore_networks, steps, batch, tested))
    by_decisions = networks((1, 1), heads, GAMMAS[:1] if quick else GAMMAS[:2])
    learn(report, "Decisions", by_decisions, data.decision_processes, steps, batch, tested)
    finish(report, options)
    return report


if __name__ == "__main__":
    main()
