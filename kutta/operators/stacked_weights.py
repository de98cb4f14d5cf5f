"""The weights of networks of one structure as rows of one network's, and back."""

from __future__ import annotations

from types import FunctionType
from typing import Any

import torch
from torch import nn

# What settings are made of.
PLAIN = (bool, int, float, str, tuple)


def stack(module: nn.Module, drawn: list[nn.Module]) -> None:
    """Put the parameters and buffers of all members, along a new first axis, in the place of one's."""
    for name, one in list(module.named_parameters(recurse=False)):
        rows = torch.stack([getattr(member, name).detach() for member in drawn])
        setattr(module, name, nn.Parameter(rows, requires_grad=one.requires_grad))
    for name, _ in list(module.named_buffers(recurse=False)):
        setattr(module, name, torch.stack([getattr(member, name) for member in drawn]))
    for name, child in module.named_children():
        stack(child, [member.get_submodule(name) for member in drawn])


def pick(module: nn.Module, number: int) -> None:
    """The way back, for one member."""
    for name, rows in list(module.named_parameters(recurse=False)):
        setattr(module, name, nn.Parameter(rows.detach()[number].clone(), requires_grad=rows.requires_grad))
    for name, rows in list(module.named_buffers(recurse=False)):
        setattr(module, name, rows[number].clone())
    for child in module.children():
        pick(child, number)


def check_alike(number: int, network: nn.Module, first: nn.Module) -> None:
    """Refuse a network that is another function than the first one with the same weights would be."""
    mine, others = _structure(network), _structure(first)
    for place in sorted(mine.keys() | others.keys()):
        if mine.get(place) != others.get(place):
            raise ValueError(
                f"networks of an ensemble must differ in nothing but their weights; {place} of networks[{number}] is "
                f"{mine.get(place, 'missing')!r}, and of networks[0] {others.get(place, 'missing')!r}"
            )


def _structure(network: nn.Module) -> dict[str, Any]:
    """Classes, shapes of weights, and settings that are numbers, words and functions, by where they are."""
    found: dict[str, Any] = {}
    for path, module in network.named_modules():
        own = {name: _function(value) for name, value in vars(module).items() if _is_setting(name, value)}
        shapes = {name: tuple(value.shape) for name, value in module.state_dict().items()}
        for name, value in (own | shapes | {"class": type(module).__name__}).items():
            found[f"{path}.{name}".lstrip(".")] = value
    return found


def _is_setting(name: str, value: Any) -> bool:
    return isinstance(value, (*PLAIN, FunctionType)) and name != "training"


def _function(value: Any) -> Any:
    """Of a function where it is written: one that is made anew for each network does the same."""
    if not isinstance(value, FunctionType):
        return value
    return f"{value.__module__}.{value.__qualname__}, line {value.__code__.co_firstlineno}"
