"""Grids, coefficients and measures of multigrid."""

import itertools

import torch

import kutta as kt
from kutta.solvers.algebra.method import Goal
from tests._helpers import F64

P = kt.pde


def random(*shape, seed=0):
    return torch.randn(shape, dtype=F64, generator=torch.Generator().manual_seed(seed))


def nodes(*interior, length=1.0):
    """Nodes with values 0 at all sides, of which so many are unknowns."""
    return P.Grid(tuple(n + 2 for n in interior), length, "node", boundary=P.Dirichlet())


def two_phases(shape, contrast):
    """A smooth random field that is cut at its middle into regions with one of two coefficients."""
    field = torch.zeros(shape, dtype=F64)
    places = P.Grid(shape, boundary=P.Neumann()).points()
    for k, weight in enumerate(random(40).tolist()):
        wave = torch.tensor([(k * 7 + 3 * axis) % 6 for axis in range(len(shape))], dtype=F64)
        phases = torch.cos(torch.pi * wave.reshape(-1, *[1] * len(shape)) * places)
        field += weight / (1.0 + float(wave.square().sum())) * phases.prod(0)
    return torch.where(field > field.median(), contrast, 1.0).to(F64)


def residual_factors(operator, method, cycles=13, starts=1):
    """By what each of the first cycles multiplies the residuals of ``A u = 0``, from random starts."""
    u = operator.compatible(random(starts, *operator.grid.shape))
    cycle = method.solver(operator, u, Goal()).cycles
    u, zero = operator.unknowns(u).clone(), torch.zeros_like(operator.unknowns(u))
    norms = [float(cycle.residual(u, zero).norm())]
    for _ in range(cycles):
        cycle.cycle_(u, zero)
        norms.append(float(cycle.residual(u, zero).norm()))
    return [after / before for before, after in itertools.pairwise(norms)]
