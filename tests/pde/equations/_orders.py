"""Orders in space, from states that a source holds at rest.

A sum of waves knows its derivatives, and so the source that an equation needs to stay there, and the data of every
boundary condition. Whatever it does on a grid is an error in space: at rest no method in time has one of its own. So a
single implicit step suffices, and grids can be so fine that the leading term of the error is all there is.

Between walls the error is a sum of what each closure and the interior contribute, of either sign: for one state, two of
them may nearly cancel on the grids at hand, and the order seem any. So errors are mean squares over a few states with
random phases. The period of the waves is not the length of the interval, and nothing of them is even or odd at a wall,
but where it mirrors: what a mirror continues smoothly is one or the other.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch

import kutta as kt
from kutta.pde.schemes.scheme import Discretisation
from tests._helpers import F64

P = kt.pde
ACCURACIES = (2, 4, 6)
CENTRINGS = ("cell", "node")
# For each kind of walls ``a`` and ``b`` of ``a u + b du/dn = g`` at the left and the right side.
WALLS = {
    "Dirichlet": ((1.0, 0.0), (1.0, 0.0)),
    "Neumann": ((0.0, 1.0), (0.0, 1.0)),
    "Robin": ((1.0, 0.2), (1.0, 0.2)),
    "mixed": ((1.0, 0.0), (0.0, 1.0)),
    "turned": ((0.0, 1.0), (1.0, 0.0)),
}
KINDS = ("periodic", "wall", "Dirichlet", "Neumann", "Robin", "mixed")
# Every kind with every centring that it has.
PLACES = [(kind, centring) for kind in KINDS for centring in CENTRINGS if (kind, centring) != ("periodic", "node")]
ENDS = torch.tensor([0.0, 1.0], dtype=F64)
PERIOD = 1.6  # of waves between walls
FINE = 48  # points of a period, for waves and what equations make of them


# States.


@dataclass(frozen=True)
class Waves:
    """``mean + sum_n size_n cos(n k x + phase_n)`` for each component, with ``k = 2 pi / period``.

    Attributes:
        period: on which walls stand at 0 and 1.
        means: of the components.
        sizes: ``(components, waves)``.
        phases: likewise.
    """

    period: float
    means: Any
    sizes: Any
    phases: Any

    def __call__(self, x):
        n = torch.arange(1, self.sizes.shape[1] + 1, dtype=F64)
        waves = torch.cos(2 * math.pi / self.period * n * x[..., None, None] + self.phases)
        u = (self.means + (self.sizes * waves).sum(-1)).movedim(-1, 0)
        return u[0] if len(u) == 1 else u


def some_waves(period=PERIOD, means=(0.5,), sizes=(0.4, 0.2), number=4):
    """A few states, with as many components as means."""
    shape = (number, len(means), len(sizes))
    phases = 2 * math.pi * torch.rand(shape, dtype=F64, generator=torch.Generator().manual_seed(0))
    sizes = torch.tensor(sizes, dtype=F64).expand(shape[1:])
    return [Waves(period, torch.tensor(means, dtype=F64), sizes, phase) for phase in phases]


def mirrored_waves(means=(0.5,), size=0.4, odd=()):
    """A state that mirrors at 0 and 1 continue; the components that are odd there have no mean."""
    turns = torch.tensor([-math.pi / 2 if one in odd else 0.0 for one in range(len(means))], dtype=F64)
    phases = turns[:, None].expand(-1, 2)
    return [Waves(2.0, torch.tensor(means, dtype=F64), size * torch.tensor([[1.0, 0.5]], dtype=F64), phases)]


def fulfilling(potential, kind, waves):
    """A state of which a second quantity fulfils the conditions of a kind with zero data: its first wave sees to that.

    Args:
        potential: that quantity, of ``(ops, u)``.
        kind: of `WALLS`.
        waves: of one component.
    """
    ops = exact(waves.period)
    x, k = ops.grid.points()[0], 2 * math.pi / waves.period
    first = torch.stack([torch.cos(k * x), -torch.sin(k * x)])
    rest = waves(x) - waves.sizes[0, 0] * torch.cos(k * x + waves.phases[0, 0])

    def left(c):
        return torch.stack(data_of(kind, ops, potential(ops, rest + c @ first)))

    c = waves.sizes[0, 0] * torch.stack([waves.phases[0, 0].cos(), waves.phases[0, 0].sin()])
    for _ in range(8):
        c = c - torch.linalg.solve(torch.autograd.functional.jacobian(left, c), left(c))  # Newton
    assert float(left(c).abs().max()) < 1e-10
    sizes, phases = waves.sizes.clone(), waves.phases.clone()
    sizes[0, 0], phases[0, 0] = c.norm(), torch.atan2(c[1], c[0])
    return Waves(waves.period, waves.means, sizes, phases)


# What equations make of them.


@dataclass(frozen=True, eq=False)
class Exact(Discretisation):
    """Operations that make no error on sums of waves: in the transform of a whole period."""

    grid: Any
    t: Any = 0.0

    def homogeneous(self):
        return self

    def coefficients(self, u):
        """Without those that are rounding errors, of which derivatives would make much."""
        found = torch.fft.rfft(u) / FINE
        return torch.where(found.abs() > 1e-15 * found.abs().amax(-1, keepdim=True), found, 0.0)

    def derivative(self, u, axis, order=1):
        k = 2 * math.pi / self.grid.length[0] * torch.arange(FINE // 2 + 1, dtype=F64)
        return torch.fft.irfft((1j * k) ** order * self.coefficients(u), FINE) * FINE

    def laplacian(self, u):
        return self.derivative(u, 0, 2)

    def convection(self, law, u):
        return self.derivative(law.flux(u, 0), 0)

    def between(self, u, x):
        """A field at any place."""
        n = torch.arange(FINE // 2, dtype=F64)
        turned = torch.exp(2j * math.pi / self.grid.length[0] * n[:, None] * x)
        return ((self.coefficients(u)[..., :-1] * torch.where(n > 0, 2.0, 1.0)) @ turned).real


@cache
def exact(period):
    return Exact(P.Grid(FINE, period))


@dataclass(frozen=True, eq=False)
class Held(P.Evolution):
    """An equation with a source."""

    equation: Any
    source: Any
    components = property(lambda self: self.equation.components)
    degree = property(lambda self: self.equation.degree)

    def nonlinear(self, ops, t, u):
        return rate(self.equation, ops, u) + ops.data(self.source, u)


def rate(equation, ops, u):
    parts = [equation.linear(ops, u), equation.nonlinear(ops, 0.0, u)]
    return sum(part for part in parts if part is not None)


def data_of(kind, ops, u):
    """``a u + b du/dn`` at both ends."""
    values, slopes = ops.between(u, ENDS), ops.between(ops.derivative(u, 0), ENDS)
    return [
        a * values[..., side] + b * (2.0 * side - 1.0) * slopes[..., side] for side, (a, b) in enumerate(WALLS[kind])
    ]


def walls_of(kind, ops, u):
    """The conditions of a kind that a state fulfils."""
    if kind in ("periodic", "wall"):
        return P.Wall() if kind == "wall" else P.Periodic()
    sides = []
    for (a, b), g in zip(WALLS[kind], data_of(kind, ops, u), strict=True):
        g = 0.0 if float(g.abs().max()) < 1e-11 else g
        sides.append(P.Robin(a, b, g) if a and b else P.Dirichlet(g) if a else P.Neumann(g))
    return tuple(sides)


# Orders.


def mean_absolute(errors):
    return float(errors.abs().mean())


def root_mean_square(errors):
    return float(errors.square().mean().sqrt())


def largest(errors):
    return float(errors.abs().max())


IMPLICIT = {"method": kt.Rosenbrock23(), "controller": kt.Fixed(0.2)}
EXPLICIT = {"method": kt.Vern7(), "rtol": 1e-10, "atol": 1e-12}


def error(equation, kind, scheme, count, centring, state, bounded, options):
    """After a step; and the spacing."""
    at = equation if isinstance(equation, Callable) else lambda x: equation
    ops = exact(state.period)
    fine = ops.grid.points()[0]
    u = state(fine)
    grid = P.Grid(count, 1.0, centring, boundary=walls_of(kind, ops, bounded(u)))
    x = grid.points()[0]
    source = -ops.between(rate(at(fine), ops, u), x)
    problem = Held(at(x), source).problem(grid, state(x), (0.0, 0.2), scheme)
    return kt.solve(problem, **options).y1 - state(x), grid.spacing[0]


def observed_order(
    equation,
    kind,
    scheme,
    centring=None,
    *,
    states,
    counts=None,
    size=root_mean_square,
    bounded=lambda u: u,
    how=IMPLICIT,
):
    """The order between two grids of the unit interval; of three grids, that to which it tends.

    Args:
        equation: or a function of the places, for coefficients that vary, with the period of the waves.
        kind: ``"periodic"``, ``"wall"`` or one of `WALLS`.
        scheme: how derivatives are replaced.
        centring: of the points.
        states: `Waves`.
        counts: of points; by default two numbers, more between walls, where closures need them to be in their leading
            terms. With three, the two orders are continued to spacing zero, from which they differ by multiples of it.
        size: the norm of errors.
        bounded: the components that have boundary conditions.
        how: options of `kutta.solve`.
    """
    sizes, widths = [], []
    for count in counts or ((60, 80) if kind in ("periodic", "wall") else (120, 160)):
        found = [error(equation, kind, scheme, count, centring, state, bounded, how) for state in states]
        errors = torch.stack([one for one, _ in found])
        sizes.append(size(errors))
        widths.append(found[0][1])
    orders = [math.log(sizes[n] / sizes[n + 1]) / math.log(widths[n] / widths[n + 1]) for n in range(len(sizes) - 1)]
    if len(orders) == 1:
        return orders[0]
    return orders[1] + (orders[1] - orders[0]) * widths[1] / (widths[0] - widths[1])


THREE = (100, 140, 200)  # for waves that walls tie to one another, whose orders tend to their limits slowly


def assert_order(nominal, equation, kind, scheme, centring=None, *, states=None, means=(0.5,), **options):
    """It is the nominal one, neither less nor more."""
    if states is None:
        states = mirrored_waves(means) if kind == "wall" else some_waves(1.0 if kind == "periodic" else PERIOD, means)
    found = observed_order(equation, kind, scheme, centring, states=states, **options)
    assert abs(found - nominal) < 0.15, f"observed {found:.3f} for order {nominal}"
