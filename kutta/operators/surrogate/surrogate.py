"""Trained operators as methods of `kutta.solve`."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from kutta.autodiff import read
from kutta.operators.ensemble import Ensemble
from kutta.operators.operator import Operator
from kutta.operators.scope import check_scopes
from kutta.operators.surrogate.calibration import Calibration
from kutta.operators.surrogate.complaints import complaints
from kutta.operators.surrogate.prediction import predict, unasked
from kutta.operators.surrogate.question import Question
from kutta.operators.surrogate.samples import chosen
from kutta.operators.trained_operator import TrainedOperator
from kutta.pde.grids.space import Space, in_words
from kutta.pde.problem import PDEProblem
from kutta.solution import Result, Results, Solution, SolveError, Stats
from kutta.solvers.answer import Answer

REFUSE, WARN, FALLBACK = OUTSIDE = ("refuse", "warn", "fallback")
# Of the arguments of `kutta.solve`, and those that only a fallback has a use for.
TAKEN, OF_FALLBACK = ("save_at", "throw"), ("rtol", "atol", "progress")


@dataclass(frozen=True, eq=False)
class Surrogate(Answer):
    """A trained operator in the place of a solver: ``solve(problem, Surrogate(model))``.

    Equations without time take one call. Those in time take one for each step of the length that the model was trained
    with, each from the state that the last one led to.

    A model knows what it was trained for: the equation, the grid, what holds at the sides, the coefficients, and the
    range of each input. It may be asked about other problems all the same, which `outside` decides on.

    Several models of the same scope, trained from other random numbers, are an ensemble: the solution is their mean,
    and ``sol.band`` twice their standard deviation, see `Band.of`. An `Ensemble` of them is computed as one. With a
    `Calibration`, the band holds as often as that says.

    Attributes:
        model: a `TrainedOperator`, several, or an `Ensemble` of them; or any `Operator`, of which nothing is known: it
            is called with ``u0``, or the coefficient or the source of a steady equation, and no problem is outside.
        outside: ``"refuse"`` problems that are not as in training, the default; ``"warn"`` and flag the result of these
            samples as ``EXTRAPOLATED``; or hand them to the ``"fallback"``.
        margin: by how much of its range in training an input may leave it.
        calibration: of the band.
        fallback: a classical method, for samples that are outside or whose band is too wide.
        widest: the norm of the band over that of the solution, beyond which it is too wide; by default no band is.

    Example:
        >>> import torch, kutta as kt
        >>> family = kt.operators.data.darcy(points=16)
        >>> data = kt.operators.data.generate(family, 8, seed=0)
        >>> model = kt.operators.TrainedOperator.for_data(kt.operators.FNO(1, 1, (8, 8), width=4, layers=1), data)
        >>> problem = family.draw(2, torch.Generator().manual_seed(1))
        >>> kt.solve(problem, kt.operators.Surrogate(model)).y1.shape  # it has not been trained yet
        torch.Size([2, 16, 16])
    """

    model: Any
    outside: str = REFUSE
    margin: float = 0.0
    calibration: Calibration | None = None
    fallback: Any = None
    widest: float | None = None
    models: tuple[Any, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        models = tuple(self.model) if isinstance(self.model, Sequence) else (self.model,)
        _check_models(list(map(_single, models)))
        if self.outside not in OUTSIDE:
            raise ValueError(f"outside must be one of {', '.join(map(repr, OUTSIDE))}; got {self.outside!r}")
        if self.fallback is None and (self.outside == FALLBACK or self.widest is not None):
            raise ValueError("fallback must name a classical method, such as kutta.Multigrid(), that takes over")
        object.__setattr__(self, "models", models)
        if self.widest is not None and not self._banded:
            raise ValueError("widest looks at the error band, so the model must be an ensemble or have a calibration")

    @property
    def members(self) -> int:
        """How many networks answer."""
        return sum(one.members if isinstance(one, Ensemble) else 1 for one in self.models)

    @property
    def _banded(self) -> bool:
        return self.members > 1 or self.calibration is not None

    @property
    def single(self) -> Any:
        """The model whose scope is that of all: the first, or a member of it."""
        return _single(self.models[0])

    def answer(self, problem: Any, given: dict[str, Any], solve: Callable[..., Solution]) -> Solution:
        self._refuse_others(given)
        question = Question.of(problem, self.single, given.get("save_at"))
        outside = self._outside(question)
        # A model need not even fit what it was not trained for, such as another grid.
        asked = self.outside != FALLBACK or not bool(read(outside.all()))
        if asked:
            states, band = predict(self.models, question, self.calibration)
        else:
            states, band = unasked(question, self._banded)
        handed = self._handed_over(outside, states, band)
        count = int(read(handed.sum()))
        if count:
            states = self._by_fallback(question, states, handed, given, solve)
            band = None if band is None else torch.where(_along_samples(handed, band), 0.0, band)
        codes = torch.where(outside & ~handed, int(Result.EXTRAPOLATED), int(Result.SUCCESS))
        finite = states.isfinite().transpose(0, 1).flatten(1).all(1)
        codes = torch.where(finite, codes, int(Result.NON_FINITE))
        calls = question.steps * self.members * asked
        solution = self._solution(question, states, band, codes, calls, count)
        if given.get("throw", True) and not read(finite.all()):
            raise SolveError(Result.NON_FINITE, float(solution.t1), question.scope.step or 0.0, solution=solution)
        return solution

    def _refuse_others(self, given: dict[str, Any]) -> None:
        taken = TAKEN + OF_FALLBACK * (self.fallback is not None)
        for name in given:
            if name not in taken:
                raise ValueError(f"{name} is not for Surrogate, which takes {', '.join(taken)}")

    def _outside(self, question: Question) -> Tensor:
        """Which samples are not as in training, ``(n,)``."""
        rows = torch.zeros(len(question.a), dtype=torch.bool, device=question.a.device)
        if isinstance(self.single, Operator):
            return rows
        found = complaints(question, self.margin)
        words = f"the surrogate was not trained for this problem: {'; '.join(one.what for one in found)}"
        if found and self.outside == REFUSE:
            raise ValueError(
                f'{words}. Pass Surrogate(outside="warn") for a flagged result, or outside="fallback" with a '
                "classical method"
            )
        if found and self.outside == WARN:
            warnings.warn(words, stacklevel=5)
        for one in found:
            rows = rows | one.rows
        return rows

    def _handed_over(self, outside: Tensor, states: Tensor, band: Tensor | None) -> Tensor:
        """Which samples a classical method takes over."""
        handed = outside if self.outside == FALLBACK else torch.zeros_like(outside)
        if self.widest is not None and band is not None:
            width, size = (one.detach().transpose(0, 1).flatten(1).norm(dim=1) for one in (band, states))
            handed = handed | ~(width <= self.widest * size)
        return handed

    def _by_fallback(
        self, question: Question, states: Tensor, handed: Tensor, given: dict[str, Any], solve: Callable[..., Solution]
    ) -> Tensor:
        """States with those of a classical method in some rows."""
        if len(question.lead) > 1:
            raise NotImplementedError(f"fallback takes batches of one axis; got the axes {question.lead}")
        options = dict(given)
        if isinstance(question.problem, PDEProblem):
            options["save_at"] = question.times
        part = chosen(question.problem, handed) if question.lead else question.problem
        solved = solve(part, self.fallback, **options).ys
        solved = solved.reshape(len(states), -1, *states.shape[2:])
        return states.index_copy(1, handed.nonzero().squeeze(1), solved.to(states))

    def _solution(
        self, question: Question, states: Tensor, band: Tensor | None, codes: Tensor, calls: int, count: int
    ) -> Solution:
        equation, ys = question.problem.equation, question.shaped(states)
        reason = "a surrogate answered" + f", and its fallback for {count} of {len(codes)} samples" * (count > 0)
        words = {"equation": in_words(equation), "method": in_words(self)}
        return Solution(
            ts=question.times,
            ys=ys,
            y1=ys[-1],
            t1=question.times[-1],
            stats=Stats(steps=calls, accepted=calls, function_evaluations=calls, reason=reason),
            result=Results(codes) if question.lead else Result(int(read(codes[0]))),
            space=Space(question.grid, equation.components, type(equation).__name__, words),
            band=None if band is None else question.shaped(band),
        )


def _single(model: Any) -> Any:
    """A model, or of an ensemble a member, which has the same scope."""
    return model.member if isinstance(model, Ensemble) else model


def _check_models(singles: list[Any]) -> None:
    """Refuse what cannot be asked about problems, or not about the same ones."""
    alone = len(singles) == 1 and isinstance(singles[0], Operator)
    if not singles or not (alone or all(isinstance(one, TrainedOperator) for one in singles)):
        got = ", ".join(type(one).__name__ for one in singles) or "none"
        raise TypeError(f"model must be a kutta.operators.TrainedOperator, several, or an Ensemble of them; got {got}")
    if not alone:
        check_scopes([one.scope for one in singles])


def _along_samples(rows: Tensor, states: Tensor) -> Tensor:
    return rows.reshape(-1, *[1] * (states.dim() - 2))
