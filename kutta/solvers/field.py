"""The right-hand side as methods see it: everything but ``(t, y)`` bound, and every call checked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from kutta.autodiff import carries_gradient
from kutta.problems import EnsembleProblem, ODEProblem, SplitODEProblem
from kutta.solvers.jacobian import Linearisation, linearise
from kutta.state import Layout

if TYPE_CHECKING:
    from jaxtyping import Float, Int

# Step sizes for which something is kept.
KEPT = 8


class VectorField:
    """``dy/dt`` of one trajectory (or of one batch that shares its step size).

    Times are Python floats or 0-dimensional tensors; states are tensors laid out by `layout`.

    Attributes:
        evaluations: number of calls so far.
        jacobians: for how many of them the derivatives were computed too.
        spare: memory that steps have given back, for the next one.
    """

    def __init__(self, problem: ODEProblem | SplitODEProblem, layout: Layout):
        self.problem, self.layout = problem, layout
        self.dtype, self.device, self.real_dtype = layout.dtype, layout.device, layout.real_dtype
        self.single = layout.is_single
        self.evaluations = self.jacobians = 0
        self.spare: list[Any] = []

    def derivative(self, t: float | Tensor, y: Tensor) -> Tensor:
        """``f(t, y, *args)`` in the layout of the state."""
        self.evaluations += 1
        if isinstance(t, Tensor):
            t = t.to(self.real_dtype)
        else:
            t = torch.scalar_tensor(t, dtype=self.real_dtype, device=self.device)
        if not self.single:
            y = self.layout.unravel(y)
        version = y._version if self.evaluations == 1 and self.single and not y.is_inference() else None
        slope = self.problem.f(t, y, *self.problem.args)
        if version is not None and y._version != version:
            raise ValueError("f changed the state y in place; it must return the derivative as a new tensor")
        return checked_slope(slope, y, self.layout)

    def linearised(self, t: float | Tensor, y: Tensor) -> Linearisation:
        """The derivative at ``(t, y)`` with its own derivatives to both."""
        self.jacobians += 1
        t = torch.as_tensor(t, dtype=self.real_dtype, device=self.device)
        return linearise(self.derivative, t, y, rows=False)


class SplitField(VectorField):
    """``dy/dt = L y + f(t, y)``, whose parts a method may use apart.

    Attributes:
        linear: the operator ``L``.
        constant: whether nothing that ``L`` is made of is differentiated.
    """

    def __init__(self, problem: SplitODEProblem, layout: Layout):
        super().__init__(problem, layout)
        self.linear = problem.linear
        zero = torch.zeros(layout.shapes[0], dtype=layout.dtype, device=layout.device)
        self.constant = not carries_gradient(self.linear.apply(zero))
        self._kept: dict[Any, Any] = {}

    def derivative(self, t: float | Tensor, y: Tensor) -> Tensor:
        """``L y + f(t, y, *args)``."""
        return self.linear.apply(y) + self.remainder(t, y)

    def remainder(self, t: float | Tensor, y: Tensor) -> Tensor:
        """``f(t, y, *args)``."""
        return super().derivative(t, y)

    def kept_for(self, dt: float, what: Any, make: Callable[[], Any]) -> Any:
        """What ``make()`` computes of ``L`` and a step size, kept for the steps of that size that follow.

        Times are rounded, so that equal steps differ in their last digits; what the first of them needs serves them
        all. What is differentiated belongs to the tape of one step, and is computed in each.
        """
        if not self.constant and torch.is_grad_enabled():
            return make()
        key = (what, float(f"{dt:.9e}"))
        if key not in self._kept:
            while len(self._kept) >= KEPT:
                self._kept.pop(next(iter(self._kept)))
            self._kept[key] = make()
        return self._kept[key]


def field_of(problem: ODEProblem | SplitODEProblem, layout: Layout) -> VectorField:
    """The right-hand side of a problem with one step size."""
    return SplitField(problem, layout) if isinstance(problem, SplitODEProblem) else VectorField(problem, layout)


class EnsembleField:
    """``dy/dt`` of the running trajectories of an ensemble.

    Times have shape ``(b,)`` or ``(b, 1)`` and states ``(b, D)``. `take` gives the field of fewer
    trajectories.

    Attributes:
        evaluations: number of calls so far, shared by the fields taken from this one.
        jacobians: for how many of them the derivatives were computed too.
        spare: memory that steps have given back, for the next one.
    """

    def __init__(self, problem: EnsembleProblem, layout: Layout):
        self.problem, self.layout = problem, layout
        self.dtype, self.device, self.real_dtype = layout.dtype, layout.device, layout.real_dtype
        self.batched = batched_arguments(problem, layout.batch or 0)
        self.args = tuple(problem.args)
        self.calls = Counter()
        self.spare: list[Any] = []
        self.flat = layout.is_single and len(layout.shapes[0]) == 1
        self.index: Tensor | None = None
        self._call = problem.f if problem.vectorized else self.mapped(problem.f)

    def mapped(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """A function ``(t, y, *args)`` of one trajectory as one of all rows."""
        axes = tuple(pytree.tree_map(lambda has_rows: 0 if has_rows else None, arg) for arg in self.batched)
        return torch.func.vmap(function, in_dims=(0, 0, *axes))

    @property
    def evaluations(self) -> int:
        """Number of calls so far."""
        return self.calls["f"]

    @property
    def jacobians(self) -> int:
        """Number of Jacobians so far."""
        return self.calls["jacobian"]

    def take(self, index: Int[Tensor, " b"]) -> EnsembleField:
        """The field of the trajectories `index`, counting its calls with this one's."""
        layout = replace(self.layout, batch=index.shape[0])
        return self._with(layout, index if self.index is None else self.index[index], self.rows(index))

    def again(self) -> EnsembleField:
        """This field with its arguments taken anew, so that they are on the tape of the present."""
        if self.index is None:
            return self
        whole = self._with(self.layout, None, self.problem.args)
        return self._with(self.layout, self.index, whole.rows(self.index))

    def rows(self, index: Tensor) -> tuple[Any, ...]:
        """The arguments of some trajectories."""
        return tuple(
            pytree.tree_map(lambda leaf, has_rows: leaf[index] if has_rows else leaf, arg, batched)
            for arg, batched in zip(self.args, self.batched, strict=True)
        )

    def _with(self, layout: Layout, index: Tensor | None, args: tuple[Any, ...]) -> EnsembleField:
        field = object.__new__(EnsembleField)
        field.__dict__.update(self.__dict__)
        field.layout, field.index, field.args, field.spare = layout, index, args, []
        return field

    def derivative(self, t: Float[Tensor, "b ..."], y: Float[Tensor, "b D"]) -> Float[Tensor, "b D"]:
        """``f`` of every trajectory."""
        self.calls["f"] += 1
        if t.dim() > 1:
            t = t.reshape(-1)
        if t.dtype is not self.real_dtype:
            t = t.to(self.real_dtype)
        if self.flat:
            return checked_slope(self._call(t, y, *self.args), y, self.layout)
        state = self.layout.unravel(y)
        return checked_slope(self._call(t, state, *self.args), state, self.layout).reshape(y.shape)

    def linearised(self, t: Float[Tensor, "b 1"], y: Float[Tensor, "b D"]) -> Linearisation:
        """The derivatives of every trajectory, with their own derivatives to its time and state."""
        self.calls["jacobian"] += 1
        return linearise(self.derivative, t, y, rows=True)


def batched_arguments(problem: EnsembleProblem, batch: int) -> tuple[Any, ...]:
    """For each tensor of ``problem.args`` whether it has an entry for each trajectory, in the args' structure."""

    def has_rows(leaf: Any) -> bool:
        return isinstance(leaf, Tensor) and leaf.dim() > 0 and leaf.shape[0] == batch

    wanted = problem.batched_args
    if wanted is None:
        return tuple(pytree.tree_map(has_rows, arg) for arg in problem.args)
    if len(wanted) != len(problem.args):
        raise ValueError(f"batched_args must have one bool for each of args; got {len(wanted)} for {len(problem.args)}")
    for number, (arg, batched) in enumerate(zip(problem.args, wanted, strict=True)):
        if batched and not any(has_rows(leaf) for leaf in pytree.tree_leaves(arg)):
            raise ValueError(f"batched_args says that args[{number}] has an entry for each of {batch} trajectories")
    return tuple(
        pytree.tree_map(lambda leaf, batched=batched: batched and has_rows(leaf), arg)
        for arg, batched in zip(problem.args, wanted, strict=True)
    )


def checked_slope(slope: Any, y: Any, layout: Layout) -> Tensor:
    """What `f` returned at the user's state `y`: one tensor as it came, a pytree in the solver's layout.

    Raises:
        TypeError, ValueError: for a derivative of another structure, shape, dtype or device.
    """
    if _fits(slope, y):
        return slope
    ensemble = layout.batch is not None
    if isinstance(y, Tensor):
        raise _wrong_slope(slope, y, ensemble)
    if pytree.tree_structure(slope) != layout.spec:
        raise TypeError(f"f must return the structure of the state, {layout.spec}; got {pytree.tree_structure(slope)}")
    for part, leaf in zip(pytree.tree_leaves(slope), pytree.tree_leaves(y), strict=True):
        if not _fits(part, leaf):
            raise _wrong_slope(part, leaf, ensemble)
    return layout.ravel(slope)


def _fits(slope: Any, y: Any) -> bool:
    return (
        isinstance(slope, Tensor)
        and isinstance(y, Tensor)
        and slope.shape == y.shape
        and slope.dtype is y.dtype
        and slope.device == y.device
    )


def _wrong_slope(slope: Any, y: Tensor, ensemble: bool) -> Exception:
    if not isinstance(slope, Tensor):
        return TypeError(f"f must return a tensor like the state; got {type(slope).__name__}")
    came = f"shape {tuple(slope.shape)}, {slope.dtype} on {slope.device}"
    wanted = f"shape {tuple(y.shape)}, {y.dtype} on {y.device}"
    hint = (
        " (trajectories that have ended are dropped: per-trajectory data belongs into args, not into a closure)"
        if ensemble and slope.dim() and slope.shape[1:] == y.shape[1:]
        else ""
    )
    return ValueError(f"f must return a derivative of the state's shape, dtype and device, {wanted}; got {came}{hint}")
