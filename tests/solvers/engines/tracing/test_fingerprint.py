"""Equal fingerprints mean equal programs: whatever may change what a function does is seen."""

import functools
import sys
import types

import numpy as np
import pytest
import torch
from torch import nn

from kutta.solvers.engines.tracing.fingerprint import Reads, Unclear, fingerprint

RATE = 2.0
SETTINGS = types.SimpleNamespace(rate=1.0, table=[1, 2])
own_module = types.ModuleType("own_module")
own_module.rate = 1.0


def by_global(t, y):
    return RATE * y


def helper(y):
    return RATE * y


def by_helper(t, y):
    return helper(y)


def by_attribute(t, y):
    return SETTINGS.rate * y


def by_module(t, y):
    return own_module.rate * y


def by_import(t, y):
    import own_module as mine

    return getattr(mine, "rate") * y  # noqa: B009


def by_inner(t, y):
    return (lambda x: RATE * x)(y)


class Rated:
    def __init__(self):
        self.rate, self.power = 1.0, np.array([1, 2])

    def slope(self, t, y):
        return self.rate * self.scaled(y)

    def scaled(self, y):
        return RATE * y


def key(*values):
    return fingerprint(*values).key


@pytest.mark.parametrize("f", [by_global, by_helper, by_inner, Rated().slope, functools.partial(by_global, 0.0)])
def test_a_global_number(f, monkeypatch):
    before = key(f)
    assert key(f) == before and hash(key(f)) == hash(before)
    monkeypatch.setattr(sys.modules[__name__], "RATE", 3.0)
    assert key(f) != before
    monkeypatch.undo()
    assert key(f) == before


@pytest.mark.parametrize(("f", "holder"), [(by_attribute, SETTINGS), (by_module, own_module), (by_import, own_module)])
def test_an_attribute(f, holder, monkeypatch):
    monkeypatch.setitem(sys.modules, "own_module", own_module)
    before = key(f)
    assert key(f) == before
    monkeypatch.setattr(holder, "rate", 4.0)
    assert key(f) != before


def test_a_nested_list(monkeypatch):
    before = key(by_attribute)
    monkeypatch.setattr(SETTINGS, "table", [1, 3])
    assert key(by_attribute) != before


def test_a_bound_object():
    one = Rated()
    before = key(one.slope)
    one.power[0] = 5
    assert key(one.slope) != before
    one.power[0] = 1
    assert key(one.slope) == before == key(Rated().slope)
    one.rate = 2.0
    assert key(one.slope) != before


def test_closures_made_anew_are_the_same():
    def made(rate, weight):
        return lambda t, y: rate * weight * y

    weight = torch.ones(2)
    first, again = fingerprint(made(1.0, weight)), fingerprint(made(1.0, weight.clone()))
    assert first.key == again.key and first.tensors[0] is weight and again.tensors[0] is not weight
    assert key(made(1.5, weight)) != first.key
    assert key(made(1.0, torch.ones(3))) != first.key
    assert key(made(1.0, weight.double())) != first.key
    assert key(made(1.0, torch.tensor([1, 2]))) != key(made(1.0, torch.tensor([1, 3])))
    assert key(made(-0.0, weight)) != key(made(0.0, weight))
    assert key(made(1, weight)) != key(made(True, weight))


def test_which_tensors_are_the_same():
    def made(a, b):
        return lambda t, y: a * y + b

    one, other = torch.ones(2), torch.ones(2)
    assert key(made(one, one)) != key(made(one, other)) == key(made(other, one))


def test_modules_of_pytorch():
    net = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5))
    before = fingerprint(net)
    assert {id(one) for one in before.tensors} == {id(one) for one in net.parameters()}
    with torch.no_grad():
        net[0].weight.zero_()
    assert key(net) == before.key
    net.eval()
    assert key(net) != before.key


def test_functions_of_functions_are_looked_through(monkeypatch):
    mapped = torch.func.vmap(lambda y: RATE * y)
    before = key(mapped)
    assert key(mapped) == before
    monkeypatch.setattr(sys.modules[__name__], "RATE", 3.0)
    assert key(mapped) != before


def test_a_method_of_a_dictionary():
    table = {"rate": 1.0}
    before = key(table.get)
    table["rate"] = 2.0
    assert key(table.get) != before


def test_the_default_dtype(monkeypatch):
    before = key(by_global)
    monkeypatch.setattr(torch, "get_default_dtype", lambda: torch.float64)
    assert key(by_global) != before


@pytest.mark.parametrize(
    "value",
    [iter([1]), torch.arange(2000), np.zeros(2000), [object() for _ in range(2)], list(range(3)) and torch.Generator()],
    ids=["iterator", "long", "array", "objects", "generator"],
)
def test_what_cannot_be_compared(value):
    with pytest.raises(Unclear):
        fingerprint(lambda t, y: value)


def test_too_much():
    many = [[number] for number in range(6_000)]
    with pytest.raises(Unclear, match="more than"):
        fingerprint(lambda t, y: many)


def test_installed_packages_are_not_looked_through():
    """A name that means something in a large library does not make a function unclear."""

    def f(t, y):
        return np.pi * y * len(pytest.__name__ + "hypothesis.strategies")

    assert key(f) == key(f)


def test_itself():
    loop: list = []
    loop.append(loop)
    assert key(lambda t, y: loop) is not None


@pytest.mark.parametrize(
    ("reader", "reads"),
    [
        (lambda x: float(x[0]), True),
        (lambda x: x.tolist(), True),
        (lambda x: x.numpy(), True),
        (lambda x: 1 if x[0] > 0 else 2, True),
        (lambda x: torch.equal(x, x), True),
        (lambda x: x * 2, False),
        (lambda x: x.shape[0], False),
    ],
)
def test_who_takes_numbers_out_of_tensors(reader, reads):
    with Reads() as seen:
        reader(torch.ones(2))
    assert seen.any is reads


class Setting:
    rate = 1.0

    @staticmethod
    def helper(y):
        return RATE * y

    @property
    def twice(self):
        return 2 * self.rate


class Derived(Setting):
    __slots__ = ("slot",)


class Table(dict):
    pass


def both_rates(t, y):
    return own_module.rate * second_rate(y)


def second_rate(y):
    return own_module.other * y


@pytest.mark.parametrize("f", [
    lambda t, y: Setting.rate * y,
    lambda t, y: Derived().rate * y,
    lambda t, y, one=Setting(): one.twice * y,  # noqa: B008
])  # fmt: skip
def test_a_number_of_a_class(f, monkeypatch):
    before = key(f)
    assert key(f) == before
    monkeypatch.setattr(Setting, "rate", 2.0)
    assert key(f) != before


def test_a_global_that_a_static_method_uses(monkeypatch):
    def f(t, y):
        return Setting.helper(y)

    before = key(f)
    monkeypatch.setattr(sys.modules[__name__], "RATE", 3.0)
    assert key(f) != before


def test_a_module_that_two_functions_look_into(monkeypatch):
    monkeypatch.setattr(own_module, "other", 1.0, raising=False)
    before = key(both_rates)
    assert key(both_rates) == before
    monkeypatch.setattr(own_module, "other", 2.0)
    assert key(both_rates) != before


@pytest.mark.parametrize("holder", [Table(), torch.ones(2), Derived()], ids=["dict", "tensor", "slots"])
def test_what_containers_and_tensors_are_given_besides(holder):
    name = "slot" if isinstance(holder, Derived) else "rate"
    setattr(holder, name, 1.0)
    f = functools.partial(lambda one, t, y: one, holder)
    before = key(f)
    assert key(f) == before
    setattr(holder, name, 2.0)
    assert key(f) != before


@pytest.mark.parametrize("reader", [
    lambda x: torch.tensor([x[0], x[1]]),
    lambda x: x.new_tensor([x[0]]),
    lambda x: torch.sub(x, x, alpha=x[0]),
    lambda x: torch.full((2,), x[0]),
    lambda x: x[int(x[1])],
])  # fmt: skip
def test_numbers_that_are_taken_out_by_pytorch_itself(reader):
    with Reads() as seen:
        reader(torch.tensor([2.0, 1.0]))
    assert seen.any
