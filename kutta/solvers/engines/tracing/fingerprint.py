"""What a function would do, as a key: functions with equal fingerprints are traced alike.

A Python function is its code, its defaults, and what it reaches by closure, by global name and through
bound objects. Numbers count by value; floating-point tensors count by shape, dtype and which of them are
the same, since their values enter a program as inputs. Code of installed libraries counts as fixed.
"""

from __future__ import annotations

import builtins
import functools
import sys
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from pathlib import Path
from types import BuiltinFunctionType, CodeType, FunctionType, MemberDescriptorType, MethodType, ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

# Where installed packages lie: their code does not change between two solves.
_PACKAGES = Path(torch.__file__).resolve().parents[1]
# A tensor of whole numbers becomes part of a program, and so do arrays; larger ones are not looked at.
LARGEST_CONSTANT = 1_000
# A function that reaches more than this is not looked through.
MOST = 5_000

_PLAIN = (bool, int, float, complex, str, bytes, type(None), type(Ellipsis), torch.dtype, torch.device, slice, range)


_READERS = {
    getattr(Tensor, name)
    for name in ("item", "tolist", "numpy", "__float__", "__int__", "__bool__", "__index__", "__complex__", "__array__",
                 "__format__", "__repr__", "is_nonzero", "equal", "allclose")
} | {torch.equal, torch.allclose, torch.is_nonzero}  # fmt: skip
# These take numbers out of the tensors that they are given in lists, unseen by the dispatcher.
_MAKERS = {torch.tensor, torch.as_tensor, torch.asarray, Tensor.new_tensor}


class Reads:
    """Notes whether a function takes numbers out of tensors: then what it does depends on more than its fingerprint.

    Some ways out are functions of PyTorch's Python side, and all others end in one operation of its dispatcher.
    """

    def __init__(self) -> None:
        self.any = False

    def __enter__(self) -> Reads:
        self._modes = (_Functions(self), _Operations(self))
        for mode in self._modes:
            mode.__enter__()
        return self

    def __exit__(self, *failure: Any) -> None:
        for mode in reversed(self._modes):
            mode.__exit__(*failure)


class _Functions(TorchFunctionMode):
    def __init__(self, reads: Reads):
        super().__init__()
        self.reads = reads

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = args[1:] if function is Tensor.new_tensor else args
        made = function in _MAKERS and any(isinstance(leaf, Tensor) for leaf in pytree.tree_leaves(given))
        self.reads.any = self.reads.any or function in _READERS or made
        return function(*args, **(kwargs or {}))


class _Operations(TorchDispatchMode):
    def __init__(self, reads: Reads):
        super().__init__()
        self.reads = reads

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.reads.any = self.reads.any or function is torch.ops.aten._local_scalar_dense.default
        return function(*args, **(kwargs or {}))


class Unclear(Exception):
    """A function reaches something that cannot be compared with what it was before."""


@dataclass(frozen=True)
class Fingerprint:
    """What a function would do.

    Attributes:
        key: equal for functions that do the same with their tensors.
        tensors: the floating-point tensors that it reaches, in the order of the walk.
    """

    key: Hashable
    tensors: tuple[Tensor, ...]


class Same:
    """An object as a key: equal to itself alone, and alive as long as the key is."""

    __slots__ = ("value",)

    def __init__(self, value: Any):
        self.value = value

    def __hash__(self) -> int:
        return id(self.value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Same) and other.value is self.value


def fingerprint(*values: Any) -> Fingerprint:
    """The fingerprint of functions and other values.

    Raises:
        Unclear: when something in reach cannot be compared.
    """
    walk = _Walk()
    key = tuple(walk.key(value) for value in values)
    return Fingerprint((key, torch.get_default_dtype()), tuple(walk.tensors))


class _Walk:
    """One walk through all that a function reaches."""

    def __init__(self) -> None:
        self.seen: dict[Hashable, int] = {}
        self.alive: list[Any] = []
        self.tensors: list[Tensor] = []
        self.names: frozenset[str] = frozenset()

    def key(self, value: Any) -> Hashable:
        if isinstance(value, _PLAIN):
            return type(value), repr(value)
        if isinstance(value, type | ModuleType | FunctionType) and _is_fixed(value):
            return Same(value)
        place = (id(value), self.names if isinstance(value, ModuleType) else None)
        if place in self.seen:
            return "again", self.seen[place]
        self.seen[place] = len(self.seen)
        self.alive.append(value)  # so that no other object gets its id meanwhile
        if len(self.seen) > MOST:
            raise Unclear(f"it reaches more than {MOST:,} objects")
        for kind, rule in _RULES:
            if isinstance(value, kind):
                return kind, rule(self, value), self._besides(value)
        return self._object(value)

    def _besides(self, value: Any) -> Hashable:
        """What a tensor or a container has been given besides what it is."""
        if isinstance(value, FunctionType | ModuleType | type):
            return None
        given = getattr(value, "__dict__", None) if type(value) not in _BUILT_IN else None
        return self.key(type(value)), self.key(given) if given else None

    def _tensor(self, value: Tensor) -> Hashable:
        described = (tuple(value.shape), value.dtype, value.device)
        if value.is_floating_point():
            self.tensors.append(value)
            return described
        if value.numel() > LARGEST_CONSTANT:
            raise Unclear(f"it reaches a tensor of {value.numel():,} whole numbers")
        return *described, repr(value.tolist())

    def _array(self, value: Any) -> Hashable:
        if value.size > LARGEST_CONSTANT or value.dtype.hasobject:
            raise Unclear(f"it reaches an array of {value.size:,} entries")
        return value.shape, value.dtype, value.tobytes()

    def _sequence(self, value: Any) -> Hashable:
        return type(value), tuple(self.key(one) for one in value)

    def _set(self, value: Any) -> Hashable:
        return type(value), frozenset(self.key(one) for one in value)

    def _dict(self, value: dict[Any, Any]) -> Hashable:
        return type(value), tuple((self.key(name), self.key(one)) for name, one in value.items())

    def _partial(self, value: functools.partial[Any]) -> Hashable:
        return self.key(value.func), self.key(value.args), self.key(value.keywords)

    def _method(self, value: MethodType) -> Hashable:
        return self.key(value.__func__), self.key(value.__self__)

    def _builtin(self, value: BuiltinFunctionType) -> Hashable:
        return value.__qualname__, self.key(value.__self__)

    def _module(self, value: ModuleType) -> Hashable:
        """Of a module of the user's, what the code that names it may take from it."""
        here = vars(value)
        return tuple((name, self.key(here[name])) for name in sorted(self.names & here.keys()))

    def _function(self, value: FunctionType) -> Hashable:
        code, before = value.__code__, self.names
        self.names = frozenset() if _is_library(value) else _names(code)
        cells = tuple(self.key(_content(cell)) for cell in value.__closure__ or ())
        reached = {name: _found(name, value.__globals__) for name in sorted(self.names)}
        named = tuple((name, self.key(one)) for name, one in reached.items() if one is not _NOTHING)
        self.names = before
        defaults = self.key(value.__defaults__), self.key(value.__kwdefaults__)
        return Same(code), cells, named, defaults, self.key(vars(value))

    def _class(self, value: type) -> Hashable:
        """All that a class of the user's and those it derives from hold."""
        own = [cls for cls in value.__mro__ if not _is_library(cls)]
        held = {(cls, name): one for cls in own for name, one in vars(cls).items() if name not in _FORMAL}
        return Same(value), tuple((name, self.key(_unwrapped(one))) for (_, name), one in held.items())

    def _object(self, value: Any) -> Hashable:
        """What an object holds, and its class."""
        slots = [name for cls in type(value).__mro__ for name in _slots(cls)]
        if not hasattr(value, "__dict__") and not slots:
            raise Unclear(f"it reaches a {type(value).__name__}")
        held = {name: getattr(value, name) for name in slots if hasattr(value, name)}
        return self.key(type(value)), self.key(held), self.key(getattr(value, "__dict__", None))


_NOTHING = object()
_BUILT_IN = (list, tuple, dict, set, frozenset, OrderedDict, functools.partial, MethodType, BuiltinFunctionType)
# What every class has, and what describes it to readers only.
_FORMAL = frozenset(
    ["__dict__", "__weakref__", "__module__", "__doc__", "__qualname__", "__annotations__", "__slots__", "_abc_impl",
     "__abstractmethods__", "__dataclass_fields__", "__dataclass_params__", "__match_args__", "__parameters__",
     "__orig_bases__"]
)  # fmt: skip
_RULES: list[tuple[Any, Callable[[_Walk, Any], Hashable]]] = [
    (Tensor, _Walk._tensor),
    (np.ndarray | np.generic, _Walk._array),
    (list | tuple, _Walk._sequence),
    (set | frozenset, _Walk._set),
    (dict, _Walk._dict),
    (functools.partial, _Walk._partial),
    (MethodType, _Walk._method),
    (BuiltinFunctionType, _Walk._builtin),
    (ModuleType, _Walk._module),
    (FunctionType, _Walk._function),
    (type, _Walk._class),
]


def _is_fixed(value: Any) -> bool:
    """Whether a class, a module or a function stays what it is; one that a library made holds what it was given."""
    return _is_library(value) and getattr(value, "__closure__", None) is None


def _is_library(value: Any) -> bool:
    name = value.__name__ if isinstance(value, ModuleType) else value.__module__
    return isinstance(name, str) and _is_installed(name.partition(".")[0])


@functools.lru_cache(maxsize=1_000)
def _is_installed(package: str) -> bool:
    """Whether a package is the standard library's, this one, or installed beside it."""
    if package == "kutta" or package in sys.stdlib_module_names:
        return True
    module = sys.modules.get(package)
    path = getattr(module, "__file__", None) or next(iter(getattr(module, "__path__", ())), None)
    return path is not None and Path(path).resolve().is_relative_to(_PACKAGES)


@functools.lru_cache(maxsize=1_000)
def _names(code: CodeType) -> frozenset[str]:
    """All that code may look up: global names, attributes, and strings, which name attributes too."""
    inner = [constant for constant in code.co_consts if isinstance(constant, CodeType)]
    strings = [constant for constant in code.co_consts if isinstance(constant, str)]
    return frozenset(code.co_names).union(strings, *map(_names, inner))


def _found(name: str, names: dict[str, Any]) -> Any:
    """What a name stands for: a global, or a module that the code imports itself."""
    if name in names:
        return names[name]
    return _NOTHING if hasattr(builtins, name) else sys.modules.get(name, _NOTHING)


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # a name that is not bound yet
        return None


def _unwrapped(one: Any) -> Any:
    """The function in a property, a class method or a static method; nothing for the place of a slot."""
    if isinstance(one, MemberDescriptorType):
        return None
    return getattr(one, "fget", None) or getattr(one, "__func__", one)


def _slots(cls: type) -> tuple[str, ...]:
    slots = vars(cls).get("__slots__", ()) if not _is_library(cls) else ()
    return (slots,) if isinstance(slots, str) else tuple(slots)
