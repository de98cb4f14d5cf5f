"""Models on disk: the same function, its scope and its card, and nothing that could run."""

import json

import pytest
import torch
from safetensors.torch import save_file

import kutta as kt
from kutta.operators import TrainedOperator, load, save
from kutta.operators.scope import Scope

GRID = kt.pde.Grid(
    (16, 12), (1.0, 2.0), boundary=(kt.pde.Dirichlet(0.5), (kt.pde.Neumann(), kt.pde.Robin(1.0, 2.0, 0.1)))
)
SCOPE = Scope("Heat", ("u",), GRID, ("u0", "diffusivity"), (-1.0, 0.1), (1.0, 0.2), {"rate": 2.0}, 0.25, 4)


class Twice(kt.operators.Operator):
    def __init__(self, in_channels=2, out_channels=1, dim=2):
        super().__init__()
        self.in_channels, self.out_channels, self.dim = in_channels, out_channels, dim
        self.factor = torch.nn.Parameter(torch.tensor(2.0))

    def transform(self, a, grid):
        return self.factor * a[:, :1]


def trained(network):
    torch.manual_seed(0)
    model = TrainedOperator(network, SCOPE, change=True)
    model.of_inputs.mean.copy_(torch.tensor([1.0, 2.0]))
    model.of_outputs.deviation.fill_(3.0)
    return model


def test_a_model_comes_back_with_its_scope_and_card(tmp_path):
    model, a = trained(kt.operators.FNO(2, 1, (4, 6), width=4, layers=1)), torch.randn(3, 2, 16, 12)
    save(model, tmp_path / "m.safetensors", {"family": "heat", "seed": 3}, {"relative_l2": 0.01})
    again = load(tmp_path / "m.safetensors")
    torch.testing.assert_close(again(a, GRID), model(a, GRID), rtol=0.0, atol=0.0)
    assert vars(again.scope) | {"grid": None} == vars(SCOPE) | {"grid": None} and again.change
    assert not kt.operators.scope.difference(again.scope.grid, GRID)
    card = again.card
    assert card["data"] == {"family": "heat", "seed": 3} and card["metrics"] == {"relative_l2": 0.01}
    assert card["network"]["parameters"] == model.network.parameter_count
    assert (
        card["versions"]["torch"] == torch.__version__.split("+")[0] or card["versions"]["torch"] == torch.__version__
    )
    save(model.double(), tmp_path / "m.safetensors")
    assert load(tmp_path / "m.safetensors")(a.double(), GRID).dtype == torch.float64


def test_a_network_of_ones_own_is_given_again(tmp_path):
    model, a = trained(Twice()), torch.randn(3, 2, 16, 12)
    with torch.no_grad():
        model.network.factor.fill_(5.0)
    save(model, tmp_path / "m.safetensors")
    with pytest.raises(ValueError, match=r"'Twice' of .* is none of kutta's: pass load\(path, network\)"):
        load(tmp_path / "m.safetensors")
    torch.testing.assert_close(load(tmp_path / "m.safetensors", Twice())(a, GRID), model(a, GRID))


def test_what_is_no_model_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no"):
        load(tmp_path / "m.safetensors")
    (tmp_path / "m.safetensors").write_bytes(b"cposix\nsystem\n(S'true'\ntR.")
    with pytest.raises(ValueError, match="no safetensors file, or it is damaged"):
        load(tmp_path / "m.safetensors")
    save_file({"x": torch.zeros(1)}, tmp_path / "m.safetensors")
    with pytest.raises(ValueError, match="has no card"):
        load(tmp_path / "m.safetensors")
    save_file({"x": torch.zeros(1)}, tmp_path / "m.safetensors", {"kutta": json.dumps({"format": 99})})
    with pytest.raises(ValueError, match="written by another version of kutta"):
        load(tmp_path / "m.safetensors")


def test_data_at_the_sides_cannot_be_written(tmp_path):
    grid = kt.pde.Grid((16, 12), boundary=kt.pde.Dirichlet(lambda x, t: x[0]))
    scope = Scope("Heat", ("u",), grid, ("u0", "diffusivity"), (0.0, 0.0), (1.0, 1.0), {}, 0.1)
    with pytest.raises(ValueError, match="function of x and t"):
        save(TrainedOperator(Twice(), scope), tmp_path / "m.safetensors")
    assert not list(tmp_path.iterdir())
