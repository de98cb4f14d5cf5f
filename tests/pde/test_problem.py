"""What a problem says, and what it refuses."""

import pytest
import torch

import kutta as kt

P = kt.pde
F64 = torch.float64
GRID = P.Grid(8)


def test_an_initial_state_from_a_function_or_a_number():
    assert P.Heat().problem(GRID, lambda x: x[0], (0.0, 1.0)).u0.dtype == F64
    assert P.Heat().problem(GRID, 2.0, (0.0, 1.0)).u0.shape == (8,)


@pytest.mark.parametrize("kind", [list, tuple], ids=["list", "tuple"])
def test_the_components_of_an_initial_state_may_be_listed(kind):
    u0 = P.Wave().problem(GRID, lambda x: kind([torch.sin(x[0]), 2.0]), (0.0, 1.0)).u0
    assert u0.dtype == F64
    assert torch.equal(u0, torch.stack([torch.sin(GRID.points()[0]), torch.full((8,), 2.0, dtype=F64)]))


def test_a_function_without_a_signature():
    assert torch.equal(P.Heat().problem(GRID, torch.squeeze, (0.0, 1.0)).u0, GRID.points()[0])


def test_solve_wants_a_problem():
    with pytest.raises(TypeError, match=r"got Heat: call its method problem\(grid, ...\)"):
        kt.solve(P.Heat())


def test_the_scheme_that_is_chosen():
    assert isinstance(P.Heat().problem(GRID, 1.0, (0.0, 1.0)).scheme, P.PseudoSpectral)
    walls = P.Grid(8, boundary=P.Neumann())
    assert isinstance(P.Heat().problem(walls, 1.0, (0.0, 1.0)).scheme, P.FiniteDifference)


def test_a_function_lends_its_name():
    def fisher(ops, t, u):
        return ops.laplacian(u) + u * (1 - u)

    found = [kt.solve(P.PDEProblem(one, GRID, 0.5, (0.0, 0.01))) for one in (fisher, lambda ops, t, u: -u)]
    assert [one.space.equation for one in found] == ["fisher", "Given"]


def test_a_function_is_an_equation():
    problem = P.PDEProblem(lambda ops, t, u: ops.laplacian(u) - t * u, GRID, torch.ones(8, dtype=F64), (0.0, 1.0))
    assert torch.allclose(kt.solve(problem, kt.Dopri5(), rtol=1e-9).y1, torch.full((8,), 0.6065306597, dtype=F64))


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (lambda: P.Heat().problem(GRID, torch.zeros(7), (0, 1)), ValueError, r"shape \(..., 8\) of Heat.*got \(7,\)"),
        (lambda: P.Heat().problem(GRID, torch.full((8,), torch.nan), (0, 1)), ValueError, "holds NaN or infinite"),
        (lambda: P.Heat().problem(GRID, torch.zeros(8, dtype=torch.int64), (0, 1)), TypeError, "floating-point"),
        (lambda: P.Heat().problem(GRID, "sin", (0, 1)), TypeError, "u0 must be a tensor or a function"),
        (lambda: P.Heat().problem(GRID, lambda x, y: x, (0, 1)), TypeError, r"one argument, the coordinates.*'y'"),
        (lambda: P.Heat().problem(8, torch.zeros(8), (0, 1)), TypeError, "grid must be a kutta.pde.Grid"),
        (lambda: P.Heat().problem(GRID, 1.0, (0, 1), P.PseudoSpectral), TypeError, "scheme must be such as"),
        (
            lambda: P.KortewegDeVries().problem(P.Grid((8, 8)), 1.0, (0, 1)),
            ValueError,
            "got a grid of 2",
        ),
        (lambda: P.Heat().problem(GRID, 1.0, 1.0), ValueError, r"t_span must hold the initial and .*; got 1.0"),
        (lambda: P.Heat().problem(GRID, 1.0, (0, 1, 2)), ValueError, r"t_span must hold the .*; got \(0, 1, 2\)"),
        (lambda: P.Heat().problem(GRID, 1.0, "01"), ValueError, "t_span must hold the .*; got '01'"),
        (lambda: P.PDEProblem("u_xx", GRID, 1.0, (0, 1)), TypeError, "equation must be such as"),
        (lambda: P.PDEProblem(P.Heat, GRID, 1.0, (0, 1)), TypeError, "equation must be such as"),
    ],
    ids=[
        "shape",
        "NaN",
        "dtype",
        "text",
        "arguments",
        "grid",
        "scheme",
        "dimension",
        "time",
        "times",
        "texts",
        "equation",
        "class",
    ],
)
def test_what_does_not_fit(make, error, match):
    with pytest.raises(error, match=match):
        make()


@pytest.mark.parametrize(
    ("scheme", "grid", "match"),
    [
        (P.PseudoSpectral(), P.Grid(8, boundary=P.Robin(1.0, 1.0)), "PseudoSpectral needs axes.*FiniteDifference"),
        (P.PseudoSpectral(), P.Grid(8, boundary=P.Dirichlet(1.0)), "PseudoSpectral needs axes.*FiniteDifference"),
        (P.FiniteVolume(), P.Grid(8, boundary=P.Dirichlet(), centring="node"), "FiniteVolume needs cells"),
    ],
    ids=["Robin", "data", "nodes"],
)
def test_schemes_that_do_not_suit_a_grid_are_refused_with_the_problem(scheme, grid, match):
    with pytest.raises(ValueError, match=match):
        P.PDEProblem(lambda ops, t, u: ops.laplacian(u), grid, lambda x: x[0], (0.0, 1.0), scheme)


def test_an_equation_that_changes_the_shape():
    problem = P.PDEProblem(lambda ops, t, u: u.sum(), GRID, torch.ones(8), (0.0, 1.0), P.FiniteDifference())
    with pytest.raises(ValueError, match="equation turns u0"):
        kt.solve(problem, kt.Tsit5())


def test_the_ordinary_problem_keeps_the_first_values_at_nodes_that_are_given():
    sides = (P.Dirichlet(lambda x, t: 1.0 + t), P.Neumann())
    problem = P.Heat().problem(P.Grid(5, centring="node", boundary=sides), torch.ones(5, dtype=F64), (0.0, 1.0))
    ordinary, shown = kt.solve(problem.as_ode(), kt.Tsit5()).y1, kt.solve(problem, kt.Tsit5()).y1
    assert (float(ordinary[0]), float(shown[0])) == (1.0, 2.0)
    assert torch.allclose(ordinary[1:], shown[1:]) and float(shown[1]) > 1.5


def test_boundary_values_of_another_shape():
    grid = P.Grid((8, 4), boundary=(P.Dirichlet(torch.zeros(5)), P.Neumann()))
    with pytest.raises(ValueError, match="of the face"):
        kt.solve(P.Heat().problem(grid, 1.0, (0.0, 1.0)), kt.Tsit5())


@pytest.mark.parametrize("centring", ["cell", "node"])
def test_complex_data_of_the_boundary_as_a_tensor_and_as_a_function(centring):
    wave, ends = torch.tensor(1j, dtype=torch.complex128), []
    for g in (wave, lambda x, t: wave):
        grid = P.Grid(6, centring=centring, boundary=(P.Dirichlet(g), P.Neumann()))
        problem = P.Heat(0.1j).problem(grid, torch.zeros(6, dtype=torch.complex128), (0.0, 0.1), P.FiniteDifference())
        ends.append(kt.solve(problem, kt.Tsit5()).y1)
        with pytest.raises(TypeError, match=r"is complex, torch.complex128, and the field is real"):
            kt.solve(P.Heat(0.1).problem(grid, torch.zeros(6, dtype=F64), (0.0, 0.1), P.FiniteDifference()))
    assert torch.equal(*ends) and ends[0].imag.abs().max() > 0.1


COMPLEX = {
    "diffusivity": P.Heat(1j),
    "source": P.Heat(1.0, lambda x, t: 1j * x[0]),
    "source field": P.Heat(1.0, torch.full((8,), 1j, dtype=torch.complex128)),
    "velocity": P.Advection(torch.tensor(1j)),
    "words": P.Equation("a*laplace(u)", {"a": 1j}),
    "function": lambda ops, t, u: 1j * ops.laplacian(u),
    "sum": lambda ops, t, u: u * u + 1j,
    "pointwise": lambda ops, t, u: 1j / (2 + u),
}


@pytest.mark.parametrize("scheme", [P.PseudoSpectral(), P.FiniteDifference()], ids=["waves", "differences"])
@pytest.mark.parametrize("name", COMPLEX)
def test_complex_coefficients_need_a_complex_state(name, scheme):
    real = torch.rand(8, dtype=F64)
    with pytest.raises(
        (TypeError, ValueError), match=r"complex128?: give u0 a complex dtype|is complex.*give u0|turns u0"
    ):
        kt.solve(P.PDEProblem(COMPLEX[name], GRID, real, (0.0, 0.01), scheme))
    given = real.to(torch.complex128)
    assert kt.solve(P.PDEProblem(COMPLEX[name], GRID, given, (0.0, 1e-4), scheme)).y1.imag.abs().max() > 0


def test_a_complex_speed_of_waves_needs_a_complex_state():
    with pytest.raises(TypeError, match=r"the state is real, torch.float64.*is complex.*give u0 a complex dtype"):
        kt.solve(P.Wave(1j).problem(GRID, torch.rand(2, 8, dtype=F64), (0.0, 0.01)))
