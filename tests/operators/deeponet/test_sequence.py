"""Windows of time, alone and one after the other."""

import pytest
import torch

import kutta as kt

F64 = torch.float64


def model_of(states=3, **options):
    torch.manual_seed(0)
    settings = {"terms": 4, "branch_widths": (8,), "trunk_widths": (6,)} | options
    return kt.operators.SequenceDeepONet(2, states, 5, **settings).double()


def inputs(windows=4, states=3):
    generator = torch.Generator().manual_seed(1)
    controls = torch.randn(6, 5 * windows + 1, 2, dtype=F64, generator=generator)
    return controls, torch.randn(6, windows, states, dtype=F64, generator=generator)


@pytest.mark.parametrize(("states", "sharing"), [(3, "none"), (3, "trunk"), (1, "none")])
def test_a_window_begins_where_it_is_told_to(states, sharing):
    model, (controls, starts) = model_of(states, sharing=sharing), inputs(states=states)
    found = model(controls, starts[:, 0])
    assert found.shape == (6, 21, states)
    torch.testing.assert_close(found[:, 0], starts[:, 0], rtol=0.0, atol=0.0)


def test_the_last_of_a_window_is_the_first_of_the_next():
    model, (controls, starts) = model_of(), inputs()
    first = model(controls[:, :6], starts[:, 0])
    rest = model(controls[:, 5:], first[:, -1])
    torch.testing.assert_close(model(controls, starts[:, 0])[:, 5:], rest, rtol=1e-12, atol=1e-12)


def test_true_starts_make_windows_stand_alone():
    model, (controls, starts) = model_of(), inputs()
    found = model(controls, starts)
    for number in range(4):
        alone = model(controls[:, 5 * number : 5 * number + 6], starts[:, number])
        torch.testing.assert_close(found[:, 5 * number + 1 : 5 * number + 6], alone[:, 1:], rtol=1e-12, atol=1e-12)


def test_predicted_starts_lie_between_true_ones_and_the_chain():
    model, (controls, starts) = model_of(), inputs()
    none, some, every = (torch.zeros(6, 4, dtype=torch.bool) for _ in range(3))
    every[:] = True
    some[:, 2] = True
    close = {"rtol": 1e-12, "atol": 1e-12}
    torch.testing.assert_close(model(controls, starts, none), model(controls, starts), **close)
    torch.testing.assert_close(model(controls, starts, every), model(controls, starts[:, 0]), **close)
    found = model(controls, starts, some)
    torch.testing.assert_close(found[:, :11], model(controls, starts)[:, :11], **close)
    torch.testing.assert_close(found[:, 6:16], model(controls[:, 5:16], starts[:, 1])[:, 1:], **close)


def test_members_of_an_ensemble_chain_their_own_windows():
    controls, starts = inputs()
    whole = kt.operators.Ensemble(lambda: kt.operators.SequenceDeepONet(2, 3, 5), 3).double()
    found = whole(controls, starts[:, 0])
    alone = kt.operators.SequenceDeepONet(2, 3, 5).double()
    alone.load_state_dict({name: rows[1] for name, rows in whole.member.state_dict().items()})
    torch.testing.assert_close(found[1], alone(controls, starts[:, 0]), rtol=1e-11, atol=1e-11)


def test_what_does_not_fit_is_refused():
    model, (controls, starts) = model_of(), inputs()
    with pytest.raises(ValueError, match=r"controls must have the shape \(n, k \* 5 \+ 1, 2\) .* got \(6, 20, 2\)"):
        model(controls[:, :-1], starts)
    with pytest.raises(ValueError, match=r"start must have the shape \(6, 3\) of first states, or \(6, 4, 3\)"):
        model(controls, starts[:, :2])
    with pytest.raises(ValueError, match=r"predicted must have the shape \(6, 4\), and goes with the states"):
        model(controls, starts[:, 0], torch.ones(6, 4, dtype=torch.bool))
