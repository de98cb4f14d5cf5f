"""The networks of sensors and places."""

import torch

from kutta.operators.deeponet.perceptron import Perceptron, SideBySide


def test_the_last_layer_is_activated_only_where_it_is_asked_for():
    torch.manual_seed(0)
    x = torch.randn(50, 3)
    assert Perceptron((3, 8, 4))(x).min() < 0.0
    assert Perceptron((3, 8, 4), activate_last=True)(x).min() == 0.0


def test_without_layers_between_it_is_a_matrix():
    net, x = Perceptron((3, 4)), torch.randn(6, 3)
    torch.testing.assert_close(net(x), x @ net.layers[0].weight.mT)


def test_networks_side_by_side_keep_their_outputs_together():
    torch.manual_seed(0)
    net, x = SideBySide(lambda: Perceptron((3, 5)), 2), torch.randn(2, 7, 3)
    found = net(x)
    assert found.shape == (2, 7, 10)
    for number in (0, 1):
        weight = net.networks.member.layers[0].weight[number]
        torch.testing.assert_close(found[..., 5 * number : 5 * number + 5], x @ weight.mT)
