"""Problems and small networks of which the solution is known, and derivatives by solving again."""

import torch
from torch import nn

import kutta as kt
from kutta.operators.constraints.space_time import SpaceTime
from tests._helpers import F64

GRID = kt.pde.Grid(16)
STEPS = 8
U0 = torch.stack([torch.sin(2.0 * torch.pi * GRID.points()[0]), torch.cos(2.0 * torch.pi * GRID.points()[0])])

MEASURES = {"residual": None, "estimated error": kt.operators.EstimatedError(0.05)}
EXACT = {"ridge": 1e-9, "ramp": 0.0, "rtol": 1e-10, "max_steps": 100}
TARGET = torch.randn(STEPS + 1, 2, 16, generator=torch.Generator().manual_seed(3), dtype=F64)


def burgers(u0=U0):
    return kt.pde.Burgers(0.05).problem(GRID, u0, (0.0, 0.5))


def transported(ops, t, u):
    return 0.05 * ops.laplacian(u) - u * ops.derivative(u, 0)


def cubic(ops, t, u):
    return 0.05 * ops.laplacian(u) - u**3


def heat(u0=U0):
    return kt.pde.Heat(0.05).problem(GRID, u0, (0.0, 0.5))


def pointwise(equation, u0=U0, end=0.5):
    """Of an equation whose terms are the same ones at the points, whoever computes them."""
    return kt.pde.PDEProblem(equation, GRID, u0, (0.0, end), kt.pde.FiniteDifference())


def marched(problem, steps=STEPS):
    """What backward differences make of a problem, ``(Q + 1, n, *shape)``."""
    space_time, f = SpaceTime(problem, steps), problem.as_ode().f
    h, states = space_time.h, [space_time.problem.u0]
    for step in range(steps):

        def equations(u, step=step):
            known = states[-1] if step == 0 else 2.0 * states[-1] - 0.5 * states[-2]
            return (1.0 if step == 0 else 1.5) * u - known - h * f(space_time.times[step + 1], u)

        states.append(kt.solve(kt.RootProblem(equations, states[-1], batched=True), kt.Newton(), rtol=1e-13).y1)
    return torch.stack(states)


class Fields(nn.Module):
    """Basis functions that are parameters, ``(n, N, Q + 1, *shape)``."""

    def __init__(self, fields):
        super().__init__()
        self.fields = nn.Parameter(fields)

    def forward(self, a, grid):
        return self.fields


def random_fields(functions, samples=2, steps=STEPS, seed=0, scale=1.0):
    """Smooth ones in space and time."""
    generator = torch.Generator().manual_seed(seed)
    t = torch.linspace(0.0, 1.0, steps + 1, dtype=F64)[:, None]
    x = GRID.points()[0]
    found = torch.zeros(samples, functions, steps + 1, 16, dtype=F64)
    for number in range(4):
        weights = torch.randn(2, samples, functions, 1, 1, generator=generator, dtype=F64)
        waves = weights[0] * torch.sin(2.0 * torch.pi * number * x) + weights[1] * torch.cos(
            2.0 * torch.pi * number * x
        )
        found = found + waves * torch.cos(number * t) / (1.0 + number)
    return scale * found


def with_solution(problem, functions, seed=0):
    """Fields of which a combination is the solution, a tenth of which the first weight of 1 adds to the others'."""
    change = (marched(problem) - problem.u0).movedim(0, 1)
    fields = random_fields(functions, len(change), seed=seed)
    fields[:, 0] = change - 0.3 * fields[:, 1:].sum(1)
    return fields


def tiny(functions, inputs=1):
    """A network in single precision."""
    torch.manual_seed(0)
    return kt.operators.FNO(inputs, functions, (4, 4), width=6, layers=2, lift=8, project=8)


def fixed(fields, kind=kt.operators.ConstrainedBasis, **options):
    """A constraint for a basis, with the weights to all digits."""
    return kind(Fields(fields), STEPS, **{**EXACT, **options}).eval()


def directional(model, problem, direction, h):
    """A derivative by central differences, all solved again."""
    fields, values = model.backbone.fields, []
    with torch.no_grad():
        start = fields.clone()
        for sign in (1.0, -1.0):
            fields.copy_(start + sign * h * direction)
            predicted = model(problem)
            assert bool(predicted.solved.all())
            values.append((predicted.u * TARGET).sum())
        fields.copy_(start)
    return (values[0] - values[1]) / (2.0 * h)
