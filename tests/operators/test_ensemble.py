"""Members that are computed together, and the band that they span."""

import pytest
import torch
from torch import nn
from torch.func import functional_call

import kutta as kt

F64 = torch.float64


def ensemble(members=4, make=None):
    torch.manual_seed(0)
    made = make or (lambda: nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 2)))
    return kt.operators.Ensemble(made, members).double()


def member_of(whole, number):
    return {name: rows[number] for name, rows in whole.member.state_dict().items()}


def test_members_are_networks_that_stand_alone():
    whole, x = ensemble(), torch.randn(6, 3, dtype=F64)
    alone = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 2)).double()
    for number, found in enumerate(whole(x)):
        torch.testing.assert_close(functional_call(alone, member_of(whole, number), x), found, rtol=1e-13, atol=1e-13)
    assert (whole(x)[0] - whole(x)[1]).abs().max() > 0.1


def test_trained_together_they_are_trained_alone():
    """With Adam on the sum of losses each weight moves as if the other members were not there."""
    x, y = torch.randn(6, 3, dtype=F64), torch.randn(6, 2, dtype=F64)
    whole = ensemble()
    alone = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 2)).double()
    alone.load_state_dict(member_of(whole, 2))
    for model, loss in (
        (whole, lambda: (whole(x) - y).square().mean((1, 2)).sum()),
        (alone, lambda: (alone(x) - y).square().mean()),
    ):
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
        for _ in range(20):
            optimizer.zero_grad()
            loss().backward()
            optimizer.step()
    for name, rows in alone.state_dict().items():
        torch.testing.assert_close(member_of(whole, 2)[name], rows, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("sharing", ["none", "split"])
def test_members_may_be_made_of_members(sharing):
    """Independent outputs are an ensemble themselves."""

    def make():
        return kt.operators.DeepONet(6, outputs=2, terms=3, branch_widths=(4,), trunk_widths=(4,), sharing=sharing)

    whole = ensemble(3, make)
    u, y = torch.randn(5, 6, dtype=F64), torch.rand(7, 1, dtype=F64)
    alone = make().double()
    alone.load_state_dict(member_of(whole, 1))
    found = whole(u, y)
    assert found.shape == (3, 5, 7, 2)
    torch.testing.assert_close(found[1], alone(u, y), rtol=1e-12, atol=1e-12)


def test_operators_of_fields_are_members_too():
    grid = kt.pde.Grid((8, 10))
    whole = ensemble(3, lambda: kt.operators.FNO(1, 1, modes=(4, 4), width=4, layers=2, lift=4, project=4))
    a = torch.randn(2, 1, 8, 10, dtype=F64)
    assert whole(a, grid).shape == (3, 2, 1, 8, 10)


def test_the_band_is_mean_and_two_deviations():
    whole, x = ensemble(5), torch.randn(6, 3, dtype=F64)
    band, found = whole.band(x), whole(x)
    torch.testing.assert_close(band.mean, found.mean(0))
    torch.testing.assert_close(band.high - band.low, 4.0 * found.std(0, correction=1))
    truth = torch.randn(6, 2, dtype=F64)
    worst = band.worst_error(truth, 1)
    low, high = ((edge - truth).norm(dim=1) / truth.norm(dim=1) for edge in (band.low, band.high))
    torch.testing.assert_close(worst, torch.maximum(low, high))
    assert (worst >= (band.mean - truth).norm(dim=1) / truth.norm(dim=1) - 1e-12).all()


def test_the_variance_is_that_of_all_members_there_could_be():
    """The mean of ``deviation^2`` over many ensembles of three is the variance of what members are drawn from."""
    said = 2.0 * torch.randn(3, 40_000, dtype=F64, generator=torch.Generator().manual_seed(0))
    assert abs(float(kt.operators.Band.of(said).deviation.square().mean()) - 4.0) < 0.08


def test_a_single_member_has_no_spread():
    band = ensemble(1).band(torch.randn(6, 3, dtype=F64))
    assert not band.deviation.any()
    with pytest.raises(ValueError, match="members must be a whole number of at least 1; got 0"):
        ensemble(0)


def test_it_is_saved_and_loaded_like_any_module():
    whole, again = ensemble(), ensemble(make=lambda: nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 2)))
    nn.init.zeros_(again.member[0].weight)
    again.load_state_dict(whole.state_dict())
    x = torch.randn(6, 3, dtype=F64)
    torch.testing.assert_close(again(x), whole(x), rtol=0.0, atol=0.0)


def networks(count=3, **changes):
    torch.manual_seed(1)
    options = {"modes": (4, 4), "width": 4, "layers": 1, "lift": 4, "project": 4} | changes
    return [kt.operators.FNO(1, 1, **options).double() for _ in range(count)]


def test_networks_that_there_are_make_an_ensemble_and_come_out_of_it_again():
    grid, a, drawn = kt.pde.Grid((8, 10)), torch.randn(2, 1, 8, 10, dtype=F64), networks()
    whole = kt.operators.Ensemble.of(drawn)
    for number, (found, network) in enumerate(zip(whole(a, grid), drawn, strict=True)):
        torch.testing.assert_close(found, network(a, grid), rtol=1e-12, atol=1e-12)
        alone = whole.alone(number)
        torch.testing.assert_close(alone(a, grid), network(a, grid), rtol=0.0, atol=0.0)
        nn.init.zeros_(alone.projection.layers[-1].weight)  # one of its own
    torch.testing.assert_close(whole(a, grid)[0], drawn[0](a, grid), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (lambda: networks(1, width=6)[0], r"lifting.layers.1.bias of networks\[1\] is \(6,\)"),
        (lambda: networks(1, nonlinearity="relu")[0], r"activation of networks\[1\] is '.*relu, line"),
        (lambda: networks(1, padding=0.5)[0], r"padding of networks\[1\] is 0.5, and of networks\[0\] 0.125"),
        (lambda: kt.operators.Persistence(1), r"class of networks\[1\] is 'Persistence', and of .* 'FNO'"),
    ],
)
def test_networks_that_are_other_functions_make_no_ensemble(other, words):
    with pytest.raises(ValueError, match=words):
        kt.operators.Ensemble.of([*networks(1), other()])
    with pytest.raises(ValueError, match="members must be a whole number of at least 1; got 0"):
        kt.operators.Ensemble.of([])


def deeponet(transform):
    return kt.operators.DeepONet(5, 1, 1, 4, (4,), (4,), transform=transform)


def test_functions_of_members_must_be_the_same():
    def again():
        return deeponet(lambda u, y, s: y * s)

    assert kt.operators.Ensemble.of([again(), again()]).members == 2
    with pytest.raises(ValueError, match=r"transform of networks\[1\]"):
        kt.operators.Ensemble.of([again(), deeponet(lambda u, y, s: 2.0 * s)])


def trained_on(boundary):
    grid = kt.pde.Grid((8, 10), boundary=boundary)
    scope = kt.operators.Scope("heat", ("u",), grid, ("u0",), (0.0,), (1.0,))
    return kt.operators.TrainedOperator(networks(1)[0], scope)


def test_trained_members_must_be_for_the_same_problems():
    walls = kt.pde.Neumann()
    assert kt.operators.Ensemble.of([trained_on(walls), trained_on(walls)]).members == 2
    with pytest.raises(ValueError, match=r"model\[1\] has Dirichlet.* at side 0 of axis 0, not Neumann"):
        kt.operators.Ensemble.of([trained_on(walls), trained_on(kt.pde.Dirichlet())])


def test_what_is_done_with_each_member_may_be_more_than_a_call():
    whole, x = ensemble(make=lambda: nn.Linear(3, 3)), torch.randn(6, 3, dtype=F64)
    twice = whole.each(lambda member: member(member(x)))
    for number in range(4):
        member = whole.alone(number)
        torch.testing.assert_close(twice[number], member(member(x)), rtol=1e-12, atol=1e-12)
