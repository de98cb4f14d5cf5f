"""Training with one penalty or another: the ways to do it, the choice of coefficients, and the tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

import kutta as kt
from benchmarks._measure import Spread, measure
from benchmarks._report import Report
from kutta import regularizers

SEEDS = (0, 1, 2)
Penalties = dict[str, tuple[float, regularizers.Regularizer]]


@dataclass(frozen=True)
class Way:
    """A way to train.

    Attributes:
        penalties: made for a generator, each with its share of the coefficient.
        steer: whether times are random in training.
        adjoint: how gradients come back.
    """

    penalties: Callable[[torch.Generator], Penalties] = lambda generator: {}
    steer: bool = False
    adjoint: Any = field(default_factory=kt.Direct)


def _one(make: Callable[[torch.Generator], regularizers.Regularizer]) -> Callable[[torch.Generator], Penalties]:
    return lambda generator: {"p": (1.0, make(generator))}


def local(estimator: Any = "unbiased", adjoint: Any = None, **options: Any) -> Way:
    """The error of single steps drawn at random."""
    return Way(
        _one(lambda g: regularizers.LocalErrorEstimate(estimator=estimator, generator=g, **options)),
        adjoint=adjoint or kt.Direct(),
    )


_ERROR = _one(lambda g: regularizers.ErrorEstimate())
WAYS = {
    "vanilla": Way(),
    "STEER": Way(steer=True),
    "TayNODE, K = 2": Way(_one(lambda g: regularizers.Taylor(order=2))),
    "RNODE": Way(
        lambda g: {"k": (1.0, regularizers.KineticEnergy()), "j": (1.0, regularizers.JacobianNorm(generator=g))}
    ),
    "ER": Way(_ERROR),
    "SR": Way(_one(lambda g: regularizers.StiffnessEstimate())),
    "ER + SR": Way(lambda g: {"e": (1.0, regularizers.ErrorEstimate()), "s": (0.1, regularizers.StiffnessEstimate())}),
    "STEER + ER": Way(_ERROR, steer=True),
    "local ER, unbiased": local(),
    "local ER, through the state": local(through_state=True),
    "local ER, published": local("published", step="initial"),
    "local ER, Recompute": local(adjoint=kt.Recompute()),
    "local ER, Interpolating": local(adjoint=kt.Interpolating()),
    "local ER, Gauss": local(adjoint=kt.Gauss()),
    "local ER, Backsolve": local(adjoint=kt.Backsolve()),
}


@dataclass(frozen=True)
class Run:
    """A trained model and what it cost.

    Attributes:
        weights: its state dict.
        coefficient: of the penalties.
        seed: of weights and batches.
        validation: score on the data that coefficients are chosen by.
        test: score on the data that are looked at last.
        validation_evaluations: calls of the right-hand side in one solve for all validation data.
        evaluations: in one solve for all test data.
        steps: attempted steps of that solve.
        seconds: wall time of the training.
        pressure: median of ``h S / sigma`` over the steps of that solve; near one where stability limits them.
    """

    weights: dict[str, Tensor]
    coefficient: float
    seed: int
    validation: float
    test: float
    validation_evaluations: int
    evaluations: int
    steps: int
    seconds: float
    pressure: float

    def plain(self) -> dict[str, Any]:
        """All but the weights."""
        return {name: value for name, value in vars(self).items() if name != "weights"}


class Task(Protocol):
    """What is learnt: a module of functions.

    Attributes:
        SCORE: what a score is called in tables, and
        FACTOR: what it is multiplied by there.
        COEFFICIENTS: those to choose from, for every way.
    """

    SCORE: str
    FACTOR: float
    COEFFICIENTS: Mapping[str, Sequence[float]]

    def train(self, way: Way, coefficient: float, seed: int, iterations: int) -> Run:
        """Train a model and look at it."""
        ...

    def acceptable(self, score: float, vanilla: float) -> bool:
        """Whether so much of the score may be given up for cheaper solves."""
        ...

    def loss(self, score: float) -> float:
        """Smaller for a better score."""
        ...

    def predictor(self, weights: dict[str, Tensor]) -> tuple[Callable[[], Any], int]:
        """What is timed, a solve for a batch, and the calls of the right-hand side in it."""
        ...


def run(train: Callable[[Way, float, int, int], Run], job: tuple[str, float, int, int]) -> Run:
    """One training run, in a process of its own with one thread."""
    torch.set_num_threads(1)
    name, *rest = job
    return train(WAYS[name], *rest)


def processes() -> ProcessPoolExecutor:
    """Two workers."""
    return ProcessPoolExecutor(2, mp_context=get_context("spawn"))


def study(
    task: Task, names: Sequence[str], seeds: Sequence[int], iterations: int
) -> tuple[dict[str, list[Run]], list[tuple[str, Run]]]:
    """Choose every coefficient with the first seed, then train with the others.

    The coefficient is the one with the fewest evaluations on the validation data among those whose
    score there is acceptable beside that of vanilla; if none is, the one with the best score.

    Returns:
        the runs of each way with its coefficient, and all that were tried.
    """
    with processes() as pool:
        tried = {name: task.COEFFICIENTS.get(name, (0.0,)) for name in names}
        jobs = [(name, value, seeds[0], iterations) for name in names for value in tried[name]]
        scanned = [(job[0], one) for job, one in zip(jobs, pool.map(partial(run, task.train), jobs), strict=True)]
        vanilla = next(one for name, one in scanned if name == "vanilla").validation
        runs = {}
        for name in names:
            own = [one for other, one in scanned if other == name]
            good = [one for one in own if task.acceptable(one.validation, vanilla)]
            good = good or [min(own, key=lambda one: task.loss(one.validation))]
            runs[name] = [min(good, key=lambda one: one.validation_evaluations)]
        jobs = [(name, runs[name][0].coefficient, seed, iterations) for name in names for seed in seeds[1:]]
        for job, one in zip(jobs, pool.map(partial(run, task.train), jobs), strict=True):
            runs[job[0]].append(one)
    return runs, scanned


def tell(task: Task, report: Report, names: Sequence[str], seeds: Sequence[int], iterations: int, repeats: int) -> None:
    """Do the study, time the models, and put it all into a report."""
    runs, scanned = study(task, names, seeds, iterations)
    predictors = {name: task.predictor(own[0].weights) for name, own in runs.items()}
    timings = measure({name: call for name, (call, _) in predictors.items()}, repeats, warm_up=2)
    _show_results(task, report, runs, timings, {name: calls for name, (_, calls) in predictors.items()})
    _show_scan(task, report, scanned)
    report.data["runs"] = {name: [one.plain() for one in own] for name, own in runs.items()}
    report.data["tried"] = [{"way": name, **one.plain()} for name, one in scanned]
    report.data["prediction seconds"] = timings


def _show_results(
    task: Task, report: Report, runs: dict[str, list[Run]], timings: dict[str, list[float]], calls: dict[str, int]
) -> None:
    base = runs["vanilla"]
    table = report.table(
        "Results, mean and standard deviation over seeds",
        "variant",
        "coefficient",
        f"test {task.SCORE}",
        "evaluations",
        "evaluations / vanilla's",
        "training s",
        "training / vanilla's",
        "prediction ms, seed 0",
        "its evaluations",
        "time an evaluation / vanilla's",
        "h S / sigma",
    )
    per_call = Spread.of(timings["vanilla"]).median / calls["vanilla"]
    for name, own in runs.items():
        prediction = timings[name]
        table.add(
            name,
            _marked(task, name, own[0].coefficient),
            _pair(own, "test", task.FACTOR),
            _pair(own, "evaluations"),
            mean(own, "evaluations") / mean(base, "evaluations"),
            _pair(own, "seconds"),
            mean(own, "seconds") / mean(base, "seconds"),
            Spread.of([1e3 * s for s in prediction]),
            calls[name],
            Spread.of(prediction).median / calls[name] / per_call,
            mean(own, "pressure"),
        )


def _marked(task: Task, name: str, coefficient: float) -> str | None:
    """The coefficient, and whether it is at the edge of those tried."""
    tried = task.COEFFICIENTS.get(name, (0.0,))
    edges = {min(tried): "smallest tried", max(tried): "largest tried"} if len(tried) > 1 else {}
    edge = f" ({edges[coefficient]})" if coefficient in edges else ""
    return f"{coefficient:g}{edge}" if coefficient else None


def _show_scan(task: Task, report: Report, scanned: Sequence[tuple[str, Run]]) -> None:
    table = report.table(
        f"Coefficients tried, seed {scanned[0][1].seed}",
        "variant",
        "coefficient",
        f"validation {task.SCORE}",
        "evaluations for it",
    )
    for name, one in scanned:
        table.add(name, one.coefficient or None, f"{task.FACTOR * one.validation:.3g}", one.validation_evaluations)


def mean(runs: Sequence[Run], name: str) -> float:
    """Of a figure, over runs."""
    return sum(getattr(one, name) for one in runs) / len(runs)


def _pair(runs: Sequence[Run], name: str, factor: float = 1.0) -> str:
    values = torch.tensor([factor * getattr(one, name) for one in runs], dtype=torch.float64)
    deviation = float(values.std()) if len(runs) > 1 else 0.0
    return f"{float(values.mean()):.3g} ± {deviation:.2g}"


def draw(task: Task, report: Report, title: str, path: Path) -> None:
    """Scores over evaluations."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(9.5, 5))
    for number, (name, own) in enumerate(report.data["runs"].items()):
        # Many runs end at the same few numbers; moved apart a little, each can be seen.
        xs = [one["evaluations"] * (0.97 + 0.005 * number) for one in own]
        ys = [task.FACTOR * one["test"] for one in own]
        axis.scatter(xs, ys, label=name, color=f"C{number % 10}", marker="o" if number < 10 else "s", alpha=0.8)
    axis.set(xscale="log", xlabel="evaluations of f in one solve for the test data", ylabel=f"test {task.SCORE}")
    axis.set_title(title)
    axis.grid(alpha=0.3)
    axis.xaxis.set_major_formatter("{x:.0f}")
    axis.xaxis.set_minor_formatter("{x:.0f}")
    axis.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    plt.close(figure)


class Pressure(regularizers.Regularizer):
    """``h S / sigma`` of every accepted step."""

    def init(self, y: Tensor) -> tuple[Tensor, ...]:
        return ()

    def update(self, state: tuple[Tensor, ...], step: Any) -> tuple[Tensor, ...]:
        measured = regularizers.StiffnessEstimate(normalise=True).measure(step)
        return (*state, abs(step.dt) * measured)

    def value(self, state: Any) -> Any:
        return state


def pressure(sol: kt.Solution) -> float:
    """The median of a solve with a penalty `Pressure` named ``"steps"``."""
    return float(torch.stack(sol.penalties["steps"]).median())  # type: ignore[arg-type]


def watched(penalties: Penalties) -> dict[str, regularizers.Regularizer]:
    """What a solve is given."""
    return {name: one for name, (_, one) in penalties.items()}


def added(penalties: Penalties, sol: kt.Solution, coefficient: float) -> Any:
    """What is added to the loss."""
    return sum((coefficient * share * sol.penalties[name] for name, (share, _) in penalties.items()), 0.0)
