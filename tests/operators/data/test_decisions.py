"""Decision processes: values that fulfil Bellman's equation."""

import pytest
import torch

import kutta as kt

data = kt.operators.data


def test_values_are_those_of_the_best_actions():
    one = data.decision_process(30, 6, torch.Generator().manual_seed(0))
    v = one.values()
    best = (one.rewards + 0.9 * v[one.successors]).amax(1)
    torch.testing.assert_close(v, best, rtol=1e-9, atol=0.0)


def test_the_best_way_is_found_through_worse_rewards():
    """From 0: stay for 1 each time, or pay 1 to reach 1, where staying brings 3: -1 + 0.9 * 30 = 26 > 10."""
    process = data.DecisionProcess(torch.tensor([[0, 1], [1, 1]]), torch.tensor([[1.0, -1.0], [3.0, 0.0]]).double())
    torch.testing.assert_close(process.values(), torch.tensor([26.0, 30.0]).double(), rtol=1e-8, atol=0.0)


def test_many_are_a_union_with_an_edge_for_each_action():
    graph, values = data.decision_processes(4, torch.Generator().manual_seed(2), states=(20, 50), actions=(5, 10))
    assert len(graph.sizes) == 4 and values.shape == (sum(graph.sizes), 1) and values.dtype == torch.float32
    assert graph.edge_features.shape == (graph.edges.shape[1], 1)
    degree = torch.bincount(graph.targets)
    assert int(degree.min()) >= 5 and int(degree.max()) <= 10
    backed_up = torch.full_like(values[:, 0], -torch.inf).scatter_reduce(
        0, graph.targets, graph.edge_features[:, 0] + 0.9 * values[graph.sources, 0], "amax"
    )
    torch.testing.assert_close(backed_up, values[:, 0], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("given", [(0, 5, 0.9), (5, 0, 0.9), (5, 5, 1.0), (5, 5, 0.0)])
def test_what_is_no_process_is_refused(given):
    states, actions, discount = given
    with pytest.raises(ValueError, match="states and actions must be at least 1"):
        data.decision_process(states, actions, discount=discount)
