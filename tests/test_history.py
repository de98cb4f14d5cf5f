"""What a solve notes of its steps, what it says of the model, and its picture."""

import pytest
import torch

import kutta as kt
from kutta.regularizers import ErrorEstimate, StiffnessEstimate
from tests._helpers import F64, TIGHT, swing, tensor

START = tensor(1.0, 0.2)


def stiff(t, y):
    return torch.stack([y[1], 100.0 * (1.0 - y[0] ** 2) * y[1] - y[0]])


def solve(f=swing, y0=START, span=(0.0, 5.0), kind=kt.ODEProblem, **options):
    return kt.solve(kind(f, y0, span), **({"rtol": 1e-6, "atol": 1e-8, "diagnostics": True} | options))


@pytest.mark.parametrize("grad", [False, True])
def test_history_is_that_of_the_accepted_steps(grad):
    with torch.set_grad_enabled(grad):
        penalties = {"q": ErrorEstimate(), "S": StiffnessEstimate()}
        sol = solve(save_at="steps", penalties=penalties, y0=START.clone().requires_grad_(grad), dt0=3.0)
    history = sol.stats.history
    assert len(history.t) == sol.stats.accepted and sol.stats.rejected > 0
    torch.testing.assert_close(history.t, sol.ts[:-1].detach())
    torch.testing.assert_close(history.h, sol.ts.detach().diff())
    assert float((history.error * history.h).sum()) == pytest.approx(float(sol.penalties["q"].detach()), rel=1e-12)
    assert float((history.stiffness * history.h).sum()) == pytest.approx(float(sol.penalties["S"].detach()), rel=1e-12)
    torch.testing.assert_close(history.pressure, history.h * history.stiffness / kt.tableaus.TSIT5.stability_size)
    assert not history.error.requires_grad and bool((history.error <= 1.0).all())


def test_noting_changes_nothing():
    for kind, y0 in ((kt.ODEProblem, START), (kt.EnsembleProblem, torch.stack([START, -START]))):
        plain, noted = (solve(y0=y0, kind=kind, diagnostics=wanted) for wanted in (False, True))
        assert plain.stats.history is None and torch.equal(plain.y1, noted.y1)
        assert torch.equal(torch.as_tensor(plain.stats.steps), torch.as_tensor(noted.stats.steps))


def test_trajectories_of_an_ensemble_have_their_own():
    y0, ends = torch.stack([START, 2 * START, -START]), tensor(1.0, 5.0, 2.0)
    history = solve(y0=y0, span=(0.0, ends), kind=kt.EnsembleProblem).stats.history
    for row in range(3):
        alone = solve(y0=y0[row], span=(0.0, float(ends[row]))).stats.history
        count = len(alone.t)
        for name in ("t", "h", "error", "stiffness", "pressure"):
            found = getattr(history, name)[:, row]
            torch.testing.assert_close(found[:count], getattr(alone, name), rtol=1e-6, atol=1e-9)
            assert bool(found[count:].isnan().all())


def test_the_message_says_what_limits_the_steps():
    limited = solve(stiff, tensor(2.0, 0.0), (0.0, 10.0)).stats.history
    assert limited.limited_by_stability and "limited by stability" in limited.message
    free = solve(**TIGHT).stats.history
    assert not free.limited_by_stability and "limited by accuracy" in free.message
    unknown = solve(method=kt.Midpoint()).stats.history
    assert not unknown.limited_by_stability and "does not tell" in unknown.message
    assert bool(unknown.stiffness.isnan().all()) and not bool(unknown.error.isnan().any())


def test_a_solve_of_no_length_has_an_empty_history():
    history = solve(span=(1.0, 1.0)).stats.history
    assert len(history.t) == len(history.pressure) == 0 and "does not tell" in history.message


def test_it_goes_on_over_events_and_under_every_adjoint():
    bounce = kt.Event(lambda t, y: y[0], change=lambda t, y: -y)
    for adjoint in (kt.Direct(), kt.Recompute(), kt.Gauss()):
        sol = solve(events=[bounce], adjoint=adjoint, y0=START.clone().requires_grad_())
        sol.y1.sum().backward()
        assert len(sol.events) >= 1 and len(sol.stats.history.t) == sol.stats.accepted


@pytest.fixture
def pyplot():
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    yield plt
    plt.close("all")


@pytest.mark.usefixtures("pyplot")
@pytest.mark.parametrize("options", [{"save_at": "steps"}, {"save_at": torch.linspace(0.0, 5.0, 11)}, {"dense": True}])
@pytest.mark.parametrize("many", [False, True], ids=["one", "ensemble"])
@pytest.mark.parametrize("diagnostics", [False, True])
def test_pictures(options, many, diagnostics, tmp_path):
    y0 = torch.stack([START, -START]) if many else START
    if many and "dense" in options:
        options = {"save_at": [0.0, 5.0]}
    sol = solve(y0=y0, kind=kt.EnsembleProblem if many else kt.ODEProblem, diagnostics=diagnostics, **options)
    figure = sol.plot()
    figure.savefig(tmp_path / "picture.png")
    assert len(figure.axes) == (4 if diagnostics else 1) and (tmp_path / "picture.png").stat().st_size > 10_000
    lines = figure.axes[0].get_lines()
    assert len(lines) == (2 if not many or sol.ts.dim() == 2 else 4)


@pytest.mark.usefixtures("pyplot")
def test_pictures_of_pytrees_and_complex_states():
    y0 = {"a": torch.ones(2, 3, dtype=F64), "b": torch.ones(20, dtype=F64)}
    sol = kt.solve(kt.ODEProblem(lambda t, y: {k: -v for k, v in y.items()}, y0, (0.0, 1.0)), save_at="steps")
    assert len(sol.plot().axes[0].get_lines()) == 10
    wave = kt.ODEProblem(lambda t, y: 1j * y, torch.ones(2, dtype=torch.complex128), (0.0, 1.0))
    assert len(kt.solve(wave, dense=True, diagnostics=True).plot().axes) == 4


@pytest.mark.usefixtures("pyplot")
def test_one_time_is_no_picture():
    with pytest.raises(ValueError, match="one time only"):
        solve().plot()
