"""Coefficients and sources of all equations: numbers or fields, and what is refused."""

import math

import pytest
import torch

import kutta as kt
from kutta.pde.coefficients import check_coefficient, check_number
from kutta.pde.equations.evolution import Evolution
from kutta.pde.grids.values import is_number
from tests._helpers import F64

P = kt.pde
EQUATIONS = {
    name: one
    for name, one in vars(P).items()
    if isinstance(one, type) and issubclass(one, Evolution) and one not in (Evolution, P.Equation)
}
NEEDED = {
    "NavierStokes": {"viscosity": 0.1},
    "NavierStokes3D": {"viscosity": 0.1},
    "NavierStokesVorticity": {"viscosity": 0.1},
}
FIELDS = [(name, one) for name, kind in EQUATIONS.items() for one in kind.fields]
NUMBERS = [(name, one) for name, kind in EQUATIONS.items() for one in kind.numbers]


def problem(name, lead=(), **coefficients):
    equation = EQUATIONS[name](**{**NEEDED.get(name, {}), **coefficients})
    shape = (6, 5, 4)[: equation.dimensions[-1] if len(equation.dimensions) < 3 else 2]
    count = len(equation.components)
    u0 = torch.ones(*lead, *((count,) if count > 1 else ()), *shape, dtype=F64)
    return equation.problem(P.Grid(shape), u0, (0.0, 0.1))


def test_every_equation_says_which_coefficients_it_has():
    silent = {name for name, kind in EQUATIONS.items() if not kind.fields + kind.numbers}
    assert silent == {"Advection"}  # whose velocity has an entry for each axis


@pytest.mark.parametrize("name, coefficient", FIELDS, ids=map(" ".join, FIELDS))
def test_fields_of_another_shape_are_refused(name, coefficient):
    expected = rf"{coefficient} must be a number or have the shape \(\.\.\., .*\) of the grid; got \(3, 7\)"
    with pytest.raises(ValueError, match=expected):
        problem(name, **{coefficient: torch.ones(3, 7, dtype=F64)})
    grid = problem(name).grid
    with pytest.raises(ValueError, match=rf"with the leading axes \(2,\) of u0; got \(3, {grid.shape[0]}"):
        problem(name, (2,), **{coefficient: torch.ones(3, *grid.shape, dtype=F64)})
    with pytest.raises(ValueError, match=f"{coefficient} must be finite"):
        problem(name, **{coefficient: torch.full(grid.shape, math.inf, dtype=F64)})
    with pytest.raises(TypeError, match=f"{coefficient} must be a number or a tensor"):
        problem(name, **{coefficient: "1.0"})


@pytest.mark.parametrize("name, coefficient", [*FIELDS, *NUMBERS], ids=map(" ".join, [*FIELDS, *NUMBERS]))
def test_functions_for_coefficients_are_refused(name, coefficient):
    """But those of place and time that an equation says it takes."""
    given = {coefficient: lambda x, t: 1.0 + x[0]}
    if coefficient in EQUATIONS[name].functions:
        assert problem(name, **given).equation
        return
    words = "a function: pass the values" if coefficient in EQUATIONS[name].fields else "a number; got <function"
    with pytest.raises(TypeError, match=f"{coefficient} must be .*{words}"):
        problem(name, **given)


def test_only_sources_are_functions():
    assert {one for kind in EQUATIONS.values() for one in kind.functions} == {"source"}


@pytest.mark.parametrize("name", ["ShallowWater", "DiffusionSorption"])
def test_complex_states_are_refused_where_values_are_compared(name):
    equation, grid = EQUATIONS[name](), P.Grid(6)
    u0 = torch.ones(*([2] if name == "ShallowWater" else []), 6, dtype=torch.complex128)
    with pytest.raises(TypeError, match=f"{name} is for real fields; got u0 of torch.complex128"):
        equation.problem(grid, u0, (0.0, 0.1))


def test_complex_velocities_of_real_fields_are_refused():
    case = P.Advection(torch.tensor(1j)).problem(P.Grid(8), torch.ones(8, dtype=F64), (0.0, 0.1), P.FiniteVolume())
    with pytest.raises(TypeError, match=r"the state is real, .*, and a coefficient or a source .* is complex"):
        kt.solve(case)


DIFFUSIVE = [(name, one) for name, kind in EQUATIONS.items() for one in kind.diffusive]


def test_equations_that_spread_say_by_what():
    """All that there are, but those of waves, those with coefficients of another form, and one of two numbers."""
    silent = set(EQUATIONS) - {name for name, _ in DIFFUSIVE}
    assert silent <= {"Advection", "Wave", "KortewegDeVries", "GrayScott"}


@pytest.mark.parametrize("name, coefficient", DIFFUSIVE, ids=map(" ".join, DIFFUSIVE))
def test_what_makes_fast_waves_grow_is_refused(name, coefficient):
    expected = f"{coefficient} must not be negative anywhere, .* its smallest value is -0.5"
    for value in (-0.5, torch.tensor(-0.5), complex(-0.5, 1.0)):
        with pytest.raises(ValueError, match=expected):
            problem(name, **{coefficient: value})
    assert problem(name, **{coefficient: 1j}).equation  # turns waves, and lets none grow


def test_what_makes_fast_waves_grow_is_refused_for_each_of_two():
    with pytest.raises(ValueError, match=r"diffusivities\[1\] must not be negative"):
        problem("GrayScott", diffusivities=(1e-5, -1e-5))


@pytest.mark.parametrize("name", ["NavierStokes", "NavierStokesVorticity"])
def test_a_force_that_is_no_number_is_refused(name):
    with pytest.raises(ValueError, match="forcing must be finite; got a tensor that holds NaN"):
        problem(name, forcing=torch.full((2, 6, 5), math.nan))


@pytest.mark.parametrize("name, coefficient", FIELDS, ids=map(" ".join, FIELDS))
def test_fields_that_fit_are_taken(name, coefficient):
    """Of the grid, with axes of 1, and with a batch; equal to a number where they are the same everywhere."""
    grid, lead = problem(name).grid, () if coefficient == "cutoff" else (2,)

    def slope(value):
        case = problem(name, (2,), **{coefficient: value})
        case = kt.pde.PDEProblem(case.equation, grid, case.u0, (0.0, 0.1), P.FiniteDifference()).as_ode()
        return case.f(torch.tensor(0.0, dtype=F64), case.y0)

    wanted = slope(0.3)
    ones = [
        torch.ones(grid.shape, dtype=F64),
        torch.ones(*lead, *grid.shape, dtype=F64),
        torch.ones(1, *grid.shape[1:], dtype=F64),
    ]
    for one in ones:
        assert torch.allclose(slope(0.3 * one), wanted, atol=1e-12)


def slope_of(name, scheme, lead=(), **coefficients):
    """At a smooth state, with coefficients by functions of the first coordinate."""
    equation = EQUATIONS[name](**NEEDED.get(name, {}))
    grid = P.Grid((48,) * equation.dimensions[0])
    x = 2 * math.pi * grid.points()[0]
    waves = [1.0 + 0.1 * torch.sin(x + place) for place in range(len(equation.components))]
    u0 = torch.stack(waves) if len(waves) > 1 else waves[0]
    given = {**NEEDED.get(name, {}), **{key: one(x) for key, one in coefficients.items()}}
    u0 = u0.expand(*lead, *u0.shape)
    case = P.PDEProblem(EQUATIONS[name](**given), grid, u0, (0.0, 0.1), scheme).as_ode()
    return case.f(torch.tensor(0.0, dtype=F64), case.y0)


def varying(x):
    return 0.3 + 0.05 * torch.cos(x)


@pytest.mark.parametrize("name, coefficient", FIELDS, ids=map(" ".join, FIELDS))
def test_fields_that_vary_are_the_same_to_differences_and_waves(name, coefficient):
    schemes = P.PseudoSpectral(), P.FiniteDifference(6)
    waves, differences = (slope_of(name, scheme, **{coefficient: varying}) for scheme in schemes)
    even = slope_of(name, schemes[0], **{coefficient: lambda x: 0.3})
    apart = float((waves - differences).abs().max())
    assert apart < 1e-4 * float(waves.abs().max())
    assert float((waves - even).abs().max()) > 10 * apart


@pytest.mark.parametrize("name, coefficient", FIELDS, ids=map(" ".join, FIELDS))
def test_samples_may_have_fields_of_their_own(name, coefficient):
    def both(x):
        return torch.stack([varying(x), 2 * varying(x)])

    for scheme in (P.PseudoSpectral(), P.FiniteDifference()):
        found = slope_of(name, scheme, (2,), **{coefficient: both})
        alone = [slope_of(name, scheme, **{coefficient: lambda x, k=k: both(x)[k]}) for k in (0, 1)]
        assert torch.allclose(found, torch.stack(alone), rtol=1e-9, atol=1e-9)


CONSERVING = [
    ("Heat", "diffusivity"),
    ("Burgers", "viscosity"),
    ("CahnHilliard", "width"),
    ("CahnHilliard", "mobility"),
    ("KuramotoSivashinsky", "hyperviscosity"),
    ("KortewegDeVries", "dispersion"),
    ("NavierStokesVorticity", "viscosity"),
]


@pytest.mark.parametrize("name, coefficient", CONSERVING, ids=map(" ".join, CONSERVING))
def test_fields_that_vary_leave_the_mean(name, coefficient):
    """They stand within the divergence."""
    for scheme in (P.PseudoSpectral(), P.FiniteDifference()):
        slope = slope_of(name, scheme, **{coefficient: varying})
        assert float(slope.abs().amax()) > 1e-3
        assert float(slope.mean().abs()) < 1e-12 * float(slope.abs().amax())


def test_a_drag_that_varies_makes_no_vorticity_on_the_whole():
    """``curl(d u)``, where the vorticity has the mean zero."""
    x, y = 2 * math.pi * P.Grid((24, 24)).points()
    w = torch.cos(x) * torch.sin(y) + torch.sin(2 * x)
    equation = P.NavierStokesVorticity(0.0, drag=varying(x + y))
    for scheme in (P.PseudoSpectral(), P.FiniteDifference()):
        problem = equation.problem(P.Grid((24, 24)), w, (0.0, 1.0), scheme).as_ode()
        slope = problem.f(torch.tensor(0.0, dtype=F64), problem.y0)
        assert float(slope.mean().abs()) < 1e-14


@pytest.mark.parametrize("name, coefficient", NUMBERS, ids=map(" ".join, NUMBERS))
def test_fields_for_numbers_are_refused(name, coefficient):
    with pytest.raises(ValueError, match=rf"{coefficient} must be a number; got a tensor of shape \(6, 5\)"):
        problem(name, **{coefficient: torch.ones(6, 5, dtype=F64)})


def test_the_diffusivities_of_gray_and_scott_are_two_numbers():
    with pytest.raises(ValueError, match=r"diffusivities\[1\] must be a number; got a tensor of shape \(6, 5\)"):
        problem("GrayScott", diffusivities=(1e-5, torch.ones(6, 5)))


@pytest.mark.parametrize("name", ["Heat", "Brusselator"])
def test_what_a_source_returns_is_looked_at(name):
    case = problem(name, source=lambda x, t: torch.ones(3, 7, dtype=F64))
    with pytest.raises(ValueError, match=r"source\(x, t\) must be a number or have the shape .* got \(3, 7\)"):
        kt.solve(case)


def test_what_a_velocity_returns_is_looked_at():
    case = P.Advection(lambda x, t: [1.0, torch.ones(7)]).problem(P.Grid((6, 5)), torch.ones(6, 5), (0.0, 1.0))
    with pytest.raises(ValueError, match=r"velocity\(x, t\)\[1\] must be a number or have the shape"):
        kt.solve(case)


def test_numbers_and_fields():
    grid = P.Grid(4)
    assert not is_number(torch.ones(4)) and is_number(torch.tensor(1.0)) and is_number(2.0)
    for good in (1, 0.5, 1j, torch.tensor(2.0), torch.tensor(1j)):
        check_number("a", good)
        check_coefficient("a", good, grid)
    for wrong in (True, None, [1.0], "x"):
        with pytest.raises(TypeError, match="a must be a number"):
            check_number("a", wrong)
    for value in (math.nan, -math.inf, 10**400, torch.tensor(math.nan)):
        with pytest.raises(ValueError, match="a must be finite"):
            check_coefficient("a", value, grid)
