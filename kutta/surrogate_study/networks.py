"""Operators that files may name, built for the fields of some data."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from kutta import operators
from kutta.operators.operator import Operator
from kutta.operators.scope import Scope
from kutta.operators.trained_operator import TrainedOperator
from kutta.pde.grids.boundary import Periodic
from kutta.pde.grids.grid import Grid

_NAMES = ("CNO", "FNO", "FactorisedFNO", "FieldDeepONet", "MgNO", "PODRegression", "T1", "T1U", "UNet")
KINDS: dict[str, type[Operator]] = {name: getattr(operators, name) for name in _NAMES}

# Those that are fitted by least squares, without steps of training.
FITTED = ("PODRegression",)


@dataclass(frozen=True)
class Network:
    """An operator to be built.

    Attributes:
        kind: the name of its class in `kutta.operators`.
        arguments: of its constructor, besides those that follow from the data.
        change: whether it says by how much a state changes, see `kutta.operators.TrainedOperator`.
    """

    kind: str
    arguments: Mapping[str, Any]
    change: bool = False

    # What follows from the fields that go in and out.
    FROM_DATA: ClassVar = ("in_channels", "out_channels", "dim", "shape", "periods")

    def build(self, scope: Scope, seed: int) -> Operator:
        """The operator with random weights.

        Args:
            scope: of the data.
            seed: of the weights; the random numbers of others stay as they are.
        """
        known = inspect.signature(KINDS[self.kind]).parameters
        given = {name: one for name, one in _from_data(scope).items() if name in known}
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return KINDS[self.kind](**given, **self.arguments)


def check_suits(network: Network, scope: Scope, a: Tensor) -> None:
    """Refuse a network that cannot be built, or is not for such fields.

    Args:
        network: to be built.
        scope: of the data.
        a: fields that it is to take.
    """
    operator = network.build(scope, 0)
    TrainedOperator(operator, scope, change=network.change)
    if network.kind not in FITTED:
        operator.check(a.float(), scope.grid)


def _from_data(scope: Scope) -> dict[str, Any]:
    return {
        "in_channels": len(scope.channels),
        "out_channels": len(scope.components),
        "dim": scope.grid.dim,
        "shape": scope.grid.shape,
        "periods": _periods(scope.grid),
    }


def _periods(grid: Grid) -> tuple[float | None, ...] | None:
    """Those of a trunk whose coordinates are counted from 0 to 1 along each axis."""
    periods = tuple(1.0 if isinstance(first, Periodic) else None for first, _ in grid.boundary)
    return periods if any(periods) else None
