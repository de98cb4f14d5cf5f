"""Solutions as data sets: every kind of solve, with names, coordinates and what it cost."""

import numpy as np
import pytest
import torch

import kutta as kt

F64 = torch.float64
TIMES = torch.linspace(0.0, 1.0, 5, dtype=F64)


def decay(t, y):
    return -y


def test_a_field_has_its_places_and_boundary_conditions():
    walls = (kt.pde.Dirichlet(1.0), kt.pde.Robin(2.0, 1.0, 0.5))
    grid = kt.pde.Grid((6, 5), (2.0, 3.0), boundary=(kt.pde.Periodic(), walls), origin=(1.0, 0.0))
    sol = kt.solve(kt.pde.Heat(0.1).problem(grid, torch.ones(6, 5, dtype=F64), (0.0, 1.0)), save_at=TIMES)
    data = sol.to_xarray()
    assert dict(data.u.sizes) == {"time": 5, "x": 6, "y": 5}
    np.testing.assert_array_equal(data.u.values, sol.ys.numpy())
    np.testing.assert_array_equal(data.time.values, TIMES.numpy())
    np.testing.assert_array_equal(data.y.values, grid.axis_points(1).numpy())
    assert (data.x.attrs["left"], data.y.attrs["right"]) == ("Periodic()", "Robin(2.0, 1.0, 0.5)")
    assert data.attrs["equation"] == "Heat(diffusivity=0.1, source=0.0)" and data.attrs["scheme"].startswith("Finite")
    assert data.attrs["method"] == "ROCK4()" and data.attrs["result"] == "SUCCESS"
    assert data.attrs["steps"] == sol.stats.steps and data.attrs["kutta_version"]


def test_a_batch_and_components_have_axes_of_their_own():
    space = kt.pde.Space(kt.pde.Grid(4), ("u", "time"), "Pair")
    ys = torch.arange(3 * 5 * 2 * 4, dtype=F64).reshape(3, 5, 2, 4)
    sol = kt.Solution(TIMES[:3], ys, ys[-1], TIMES[2], kt.Stats(steps=2, function_evaluations=9), kt.Result.SUCCESS)
    data = kt.Solution(**{**vars(sol), "space": space}).to_xarray()
    assert list(data.data_vars) == ["u", "time_"] and dict(data.u.sizes) == {"time": 3, "batch": 5, "x": 4}
    np.testing.assert_array_equal(data["time_"].values, ys[:, :, 1].numpy())
    assert data.attrs["equation"] == "Pair"
    two = ys.reshape(3, 5, 1, 2, 4)
    data = kt.Solution(**{**vars(sol), "ys": two, "space": space}).to_xarray()
    assert data.u.dims == ("time", "batch_0", "batch_1", "x")


@pytest.mark.parametrize("shape", [(), (3,), (2, 3)], ids=["number", "vector", "matrix"])
def test_states_of_any_shape(shape):
    sol = kt.solve(kt.ODEProblem(decay, torch.ones(shape, dtype=F64), (0.0, 1.0)), save_at=TIMES)
    names = {0: (), 1: ("component",), 2: ("component_0", "component_1")}[len(shape)]
    data = sol.to_xarray()
    assert data.y.dims == ("time", *names)
    np.testing.assert_array_equal(data.y.values, sol.ys.numpy())


def test_pytrees_keep_their_names():
    state = {"hare": torch.ones(2), "time": (torch.ones(()), torch.ones(3))}
    data = kt.solve(kt.ODEProblem(lambda t, y: {"hare": -y["hare"], "time": y["time"]}, state, (0.0, 1.0))).to_xarray()
    assert {name: one.dims for name, one in data.data_vars.items()} == {
        "hare": ("time", "hare_component"),
        "time_y0": ("time",),
        "time_y1": ("time", "time_y1_component"),
    }


def test_an_ensemble_tells_what_each_trajectory_cost():
    starts = torch.tensor([[1.0], [2.0], [3.0]], dtype=F64)
    sol = kt.solve(kt.EnsembleProblem(decay, starts, (0.0, 1.0)), save_at=TIMES)
    data = sol.to_xarray()
    assert data.y.dims == ("time", "trajectory", "component")
    np.testing.assert_array_equal(data.steps.values, sol.stats.steps.numpy())
    assert list(data.result.values) == ["SUCCESS"] * 3 and "steps" not in data.attrs


def test_trajectories_with_times_of_their_own():
    problem = kt.EnsembleProblem(decay, torch.ones(3, 1, dtype=F64), (0.0, torch.tensor([1.0, 2.0, 3.0], dtype=F64)))
    sol = kt.solve(problem, save_at="steps")
    data = sol.to_xarray()
    assert data.y.dims == ("output", "trajectory", "component") and data.time.dims == ("output", "trajectory")
    np.testing.assert_array_equal(data.time.values, sol.ts.numpy())


def test_a_steady_solution_has_no_time():
    matrix = torch.tensor([[2.0, 1.0], [1.0, 3.0]], dtype=F64)
    sol = kt.solve(kt.LinearProblem(matrix, torch.ones(2, dtype=F64)))
    data = sol.to_xarray()
    assert data.y.dims == ("component",) and "time" not in data.coords
    batch = kt.solve(kt.LinearProblem(matrix, torch.ones(4, 2, dtype=F64))).to_xarray()
    assert batch.y.shape == (4, 2) and batch.attrs["result"].startswith("SUCCESS, SUCCESS")
    field = kt.Solution(**{**vars(sol), "space": kt.pde.Space(kt.pde.Grid(2), ("u",), "Poisson")}).to_xarray()
    assert field.u.dims == ("x",)


def test_gradients_half_precision_and_complex_numbers():
    y0 = torch.ones(2, dtype=torch.complex128, requires_grad=True)
    assert kt.solve(kt.ODEProblem(lambda t, y: 1j * y, y0, (0.0, 1.0))).to_xarray().y.dtype == np.complex128
    sol = kt.Solution(
        torch.zeros(1),
        torch.ones(1, 2, dtype=torch.bfloat16),
        torch.ones(2),
        torch.zeros(()),
        kt.Stats(1, function_evaluations=1),
        kt.Result.SUCCESS,
    )
    assert sol.to_xarray().y.dtype == np.float32


@pytest.mark.parametrize(
    "y0",
    [{"time": 1, "time_": 2}, {"a": {"b": 1}, "a_b": 2}, {"a": 1, "a_component": 2}, {0: 1, "y0": 2}],
    ids=["time", "nested", "dimension", "place"],
)
def test_no_variable_is_lost(y0):
    state = torch.utils._pytree.tree_map(lambda value: torch.full((3,), float(value), dtype=F64), y0)
    found = kt.solve(kt.ODEProblem(stays, state, (0.0, 1.0))).to_xarray()
    assert sorted(float(one.values.max()) for one in found.data_vars.values()) == [1.0, 2.0]


def stays(t, y):
    return torch.utils._pytree.tree_map(torch.zeros_like, y)


def test_no_unknown_of_a_field_is_lost():
    equation = kt.pde.Equation({"time": "0*time", "time_": "0*time_"})
    start = torch.arange(1.0, 3.0, dtype=F64)[:, None].expand(2, 4).clone()
    found = kt.solve(equation.problem(kt.pde.Grid(4), start, (0.0, 1.0))).to_xarray()
    assert {name: float(one.max()) for name, one in found.data_vars.items()} == {"time__": 1.0, "time_": 2.0}
