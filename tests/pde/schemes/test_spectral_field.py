"""What equations may do with fields of waves, and what is said of all that only tensors can."""

import math

import pytest
import torch

import kutta as kt
from tests._helpers import F64

P = kt.pde
GRID = P.Grid(16)
WAVE = torch.sin(2 * math.pi * GRID.points()[0])


def slope(equation, scheme=None):
    case = P.PDEProblem(equation, GRID, WAVE, (0.0, 1.0), scheme).as_ode()
    return case.f(torch.tensor(0.0, dtype=F64), case.y0)


@pytest.mark.parametrize(
    "function",
    [abs, torch.sin, lambda u: torch.clamp(u, min=0.0), lambda u: torch.where(torch.gt(u, 0.0), u, -u),
     lambda u: torch.lerp(u, -u, weight=u)],
    ids=["abs", "sine", "clamp", "where", "a field by keyword"],
)  # fmt: skip
def test_functions_act_point_by_point(function):
    field = P.PseudoSpectral().on(GRID).like(WAVE).enter(WAVE)
    assert torch.allclose(function(field).values, function(WAVE), atol=1e-12)


METHODS = ["abs", "sin", "clamp", "tanh", "mean"]


@pytest.mark.parametrize("name", METHODS)
def test_methods_of_tensors_have_their_functions_named(name):
    with pytest.raises(AttributeError, match=rf"has no {name}: write torch.{name}\(u\) .* use .*FiniteDifference\(\)"):
        slope(lambda ops, t, u: getattr(u, name)())


REFUSED = {
    "shape": (lambda u: u.shape, AttributeError, r"no tensor, and has no shape: use .*FiniteDifference"),
    "mean": (lambda u: torch.mean(u) * u, TypeError, "mean of a field .* must have a value at each point; use"),
    "less": (lambda u: u < 0, TypeError, r"not compared by <: write torch.where\(torch.lt\(u, v\)"),
    "at most": (lambda u: u <= 0, TypeError, r"not compared by <=: write torch.where\(torch.le"),
    "more": (lambda u: u > 0, TypeError, r"not compared by >: write torch.where\(torch.gt"),
    "at least": (lambda u: u >= 0, TypeError, r"not compared by >=: write torch.where\(torch.ge"),
    "truth": (lambda u: u if u else -u, TypeError, "neither true nor false: choose with torch.where"),
    "entries": (lambda u: u[0], TypeError, r"has no entries: components are ops.split\(u\)"),
    "lists": (lambda u: torch.stack([u, u]), TypeError, "stack does not take lists of fields"),
    "nonsense": (lambda u: u.colour, AttributeError, "object has no attribute 'colour'"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_only_tensors_can_is_refused(case):
    function, error, words = REFUSED[case]
    with pytest.raises(error, match=words):
        slope(lambda ops, t, u: function(u))


def test_sorption_is_an_equation_for_waves_too():
    u = 0.5 + 0.1 * WAVE
    equation = P.DiffusionSorption()
    by_waves, by_differences = (
        P.PDEProblem(equation, GRID, u, (0.0, 1.0), scheme).as_ode()
        for scheme in (P.PseudoSpectral(), P.FiniteDifference(6))
    )
    t = torch.tensor(0.0, dtype=F64)
    assert torch.allclose(by_waves.f(t, u), by_differences.f(t, u), rtol=0.0, atol=3e-5)
