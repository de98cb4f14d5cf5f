"""The weights of basis functions with which an equation holds best at some points: batches of small least squares."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, Self

import torch
from torch import Tensor

from kutta.operators.constraints.estimated_error import Propagator
from kutta.operators.constraints.space_time import SpaceTime
from kutta.pde.grids.values import total
from kutta.problems import LeastSquaresProblem
from kutta.solution import Result
from kutta.solve import solve
from kutta.solvers.algebra.nonlinear.iteration import chosen
from kutta.solvers.algebra.nonlinear.method import LeastSquaresMethod

# Of `kutta.solve`, those that a user may say.
OPTIONS = ("rtol", "atol", "max_steps", "adjoint")


@dataclass(frozen=True)
class Rows:
    """What the residual of each of ``B`` problems is made of.

    Attributes:
        guess: rates and images of the guess, ``(B, images, m)``.
        basis: those of the basis functions, ``(B, images, N, m)``.
        data: of the equation, ``(B, data, m)``.
        weight: of each point, ``(B, m)``.
    """

    guess: Tensor
    basis: Tensor
    data: Tensor
    weight: Tensor

    @property
    def parts(self) -> tuple[Tensor, ...]:
        """All of them."""
        return self.guess, self.basis, self.data, self.weight

    def but(self, left_out: Tensor, other: int) -> Self:
        """The same, with those of another problem in place of such as are left out, so that nothing comes of these."""
        return type(self)(*(chosen(left_out, one[other].detach().expand_as(one), one) for one in self.parts))


@dataclass(frozen=True)
class Residual:
    """``(weight M r(w), ridge w)``, whose squares are made least.

    Attributes:
        space_time: the equation.
        ridge: what holds weights back that the equation says nothing of.
        measure: ``M``, of residuals at all points; nothing where these count themselves.
    """

    space_time: SpaceTime
    ridge: float
    measure: Propagator | None = None

    def problem(self, rows: Rows, start: Tensor) -> LeastSquaresProblem:
        """For `kutta.solve`, beginning with the weights `start`, ``(B, N)``."""
        return LeastSquaresProblem(self.residual, start, rows.parts, True, self.jacobian, self.curvature)

    def residual(self, w: Tensor, guess: Tensor, basis: Tensor, data: Tensor, weight: Tensor) -> Tensor:
        """``(B, m + N)``."""
        r = self._of_images(data)(*_images(w, guess, basis).unbind(1))
        return torch.cat([weight * self._measured(r), self.ridge * w], 1)

    def jacobian(self, w: Tensor, guess: Tensor, basis: Tensor, data: Tensor, weight: Tensor) -> Tensor:
        """``sum_k dr/dl_k B_k``, ``(B, m + N, N)``, with all slopes from one backward pass, as ``r`` is pointwise."""
        images = _images(w, guess, basis).unbind(1)
        r, pull = torch.func.vjp(self._of_images(data), *images)  # pyright: ignore[reportAssignmentType]
        slopes = pull(torch.ones_like(r))
        eye = torch.eye(w.shape[1], dtype=w.dtype, device=w.device)
        columns = total(slope.unsqueeze(1) * one for slope, one in zip(slopes, basis.unbind(1), strict=True))
        columns = weight.unsqueeze(1) * self._measured(columns)
        return torch.cat([columns, (self.ridge * eye).expand(len(w), -1, -1)], 2).mT

    def curvature(self, w: Tensor, guess: Tensor, basis: Tensor, data: Tensor, weight: Tensor) -> Tensor:
        """``sum_kl B_k^T (p d^2r / dl_k dl_l) B_l`` with ``p = M^T weight^2 M r``, ``(B, N, N)``."""
        images, of_images = _images(w, guess, basis).unbind(1), self._of_images(data)

        def weighted(r: Tensor) -> Tensor:
            return weight * self._measured(r)

        measured, back = torch.func.vjp(weighted, of_images(*images))  # pyright: ignore[reportAssignmentType]
        (p,) = back(measured)

        def slopes(*images: Tensor) -> tuple[Tensor, ...]:
            return torch.func.vjp(of_images, *images)[1](p)  # type: ignore[return-value]

        _, bend = torch.func.vjp(slopes, *images)  # pyright: ignore[reportAssignmentType]
        found = basis.new_zeros(len(basis), basis.shape[2], basis.shape[2])
        for k in range(len(images)):
            row = bend(tuple(torch.full_like(p, float(k == l)) for l in range(len(images))))
            for l in range(k, len(images)):
                if bool(row[l].any()):  # few images multiply each other
                    part = (basis[:, k] * row[l].unsqueeze(1)) @ basis[:, l].mT
                    found = found + (part if k == l else part + part.mT)
        return found

    def _of_images(self, data: Tensor) -> Callable[..., Tensor]:
        """``r`` as a function of rates and images."""
        return lambda *images: self.space_time.residual(images, data.unbind(1))

    def _measured(self, r: Tensor) -> Tensor:
        """``M r`` of residuals ``(..., m)``."""
        if self.measure is None:
            return r
        shaped = r.unflatten(-1, (self.space_time.steps, *self.space_time.grid.shape))
        return self.measure(shaped).flatten(-self.space_time.grid.dim - 1)


class Posing(Protocol):
    """A residual that makes problems of rows: a `Residual`, or those of several experts that are `Coupled`."""

    def problem(self, rows: Any, start: Tensor) -> LeastSquaresProblem:
        """For `kutta.solve`, beginning with the weights `start`."""
        ...


@dataclass(frozen=True)
class Weights:
    """How weights are found.

    Attributes:
        method: for least squares.
        options: of `kutta.solve`.

    Raises:
        TypeError: for other options than `OPTIONS`.
    """

    method: LeastSquaresMethod | None
    options: Mapping[str, Any]

    def __post_init__(self) -> None:
        unknown = [name for name in self.options if name not in OPTIONS]
        if unknown:
            raise TypeError(f"options of the search for weights are {', '.join(OPTIONS)}; got {', '.join(unknown)}")

    def __call__(self, residual: Posing, rows: Rows, start: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The weights ``(B, N)``, how each problem ended, a code of `kutta.Result`, and its iterations, ``(B,)``.

        Weights that are solutions have derivatives; others are constants.

        Args:
            residual: of each problem.
            rows: of all problems.
            start: of the search, ``(B, N)``.
        """
        with torch.no_grad():
            w, codes, steps = self._searched(residual, rows, start.detach())
        if torch.is_grad_enabled():
            w, codes = self._differentiable(residual, rows, w, codes)
        return w, codes, steps

    def _differentiable(self, residual: Posing, rows: Rows, w: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Weights with derivatives, and codes: also of those whose derivatives lead to a singular system.

        Others do not see derivatives, which may be no numbers: in their place another problem is solved.
        """
        solved = codes < int(Result.MAX_STEPS)
        if not bool(solved.any()):
            return w, codes
        other = int(solved.int().argmax())
        found = self._solve(residual.problem(rows.but(~solved, other), chosen(solved, w, w[other])))
        singular = solved & ~found.y1.detach().isfinite().all(1)
        if bool(singular.any()):
            return self._differentiable(residual, rows, w, torch.where(singular, int(Result.SINGULAR), codes))
        return chosen(solved, found.y1, w), torch.where(solved, found.result.codes, codes)

    def _searched(self, residual: Posing, rows: Rows, start: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Weights, 0 where they are no numbers, codes and iterations."""
        found = self._solve(residual.problem(rows, start))
        w = torch.where(found.y1.isfinite().all(1, keepdim=True), found.y1, 0.0)
        return w, found.result.codes, found.stats.steps

    def _solve(self, problem: LeastSquaresProblem) -> Any:
        given = {"rtol": 1e-5, "max_steps": 50, **self.options}
        return solve(problem, self.method, **{"atol": 1e-3 * given["rtol"], "throw": False, **given})


def _images(w: Tensor, guess: Tensor, basis: Tensor) -> Tensor:
    """Of the sum of the guess and of weighted basis functions."""
    return guess + (w[:, None, None, :] @ basis).squeeze(-2)
