"""Functions of an operator that is known by its products with vectors only.

A combination ``phi_0(A) v_0 + ... + phi_p(A) v_p`` is the first part of one exponential of a slightly larger operator,

    exp [[A, V], [0, J]] [v_0; e_p],      V = [v_p ... v_1],      J with ones above its diagonal,

(Al-Mohy and Higham, Computing the action of the matrix exponential, SIAM J. Sci. Comput. 33, 2011). It is taken on the
Krylov space of the vector: with the orthonormal basis ``W_m`` and ``H_m = W_m^* B W_m`` of Arnoldi's process,

    exp(tau B) b = |b| W_{m+1} exp(tau [[H_m, 0], [h e_m^T, 0]]) e_1,      error about its last entry

(Saad, Analysis of some Krylov subspace approximations to the matrix exponential operator, SIAM J. Numer. Anal. 29,
1992).
Where the largest space does not suffice, the same space serves a shorter time ``tau``, and the rest follows.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor

from kutta.autodiff import read
from kutta.solvers.tableaus.exponential import Weight

Product = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Krylov:
    """How well products with functions of an operator are computed.

    Attributes:
        tolerance: of their error, relative to the norm of the vector. In single precision it is at least 1e-6.
        largest: dimension of the Krylov space, the memory being so many states. Where it does not suffice, a step
            is gone in parts.
    """

    tolerance: float = 1e-11
    largest: int = 40

    def __post_init__(self) -> None:
        if not 0.0 < self.tolerance < 1.0:
            raise ValueError(f"tolerance must lie between 0 and 1; got {self.tolerance!r}")
        if not isinstance(self.largest, int) or self.largest < 2:
            raise ValueError(f"largest must be a whole number, 2 at least; got {self.largest!r}")


DEFAULT = Krylov()


@dataclass(frozen=True)
class KrylovSums:
    """The sums of a step of size `dt`, each an exponential for every node in it.

    Attributes:
        linear: the operator.
        krylov: how well its exponentials are computed.
        dt: the size of the step.
    """

    linear: Any
    krylov: Krylov
    dt: float

    def enter(self, y: Tensor) -> Tensor:
        """The state itself."""
        return y

    def leave(self, value: Tensor) -> Tensor:
        """The sum itself."""
        return value

    def combined(self, node: Fraction | None, row: Sequence[Weight], start: Tensor, slopes: Sequence[Tensor]) -> Tensor:
        """See `kutta.solvers.exponential.functions.Sums`."""
        groups: dict[Fraction, dict[int, Tensor]] = defaultdict(dict)
        if node is not None:
            groups[node][0] = start
        for weight, slope in zip(row, slopes, strict=True):
            for part, k, c in weight:
                term = float(part) * self.dt * slope
                groups[c][k] = groups[c][k] + term if k in groups[c] else term
        total = torch.zeros_like(start)
        for c, vectors in groups.items():
            total = total + self._combination(float(c) * self.dt, vectors)
        return total

    def _combination(self, size: float, vectors: dict[int, Tensor]) -> Tensor:
        """``sum_k phi_k(size L) v_k``."""
        if size == 0.0:
            return torch.stack([vector / math.factorial(k) for k, vector in vectors.items()]).sum(0)
        like = next(iter(vectors.values()))
        parts = [vectors.get(k, torch.zeros_like(like)).reshape(-1) for k in range(max(vectors) + 1)]
        first, columns = parts[0], torch.stack([*reversed(parts[1:])], -1) if len(parts) > 1 else None

        def product(x: Tensor) -> Tensor:
            """``A x``, for the larger operator."""
            head, tail = x[: like.numel()], x[like.numel() :]
            image = size * self.linear.apply(head.reshape(like.shape)).reshape(-1)
            if columns is None:
                return image
            return torch.cat([image + columns @ tail / scale, tail[1:], torch.zeros_like(tail[:1])])

        if columns is None:
            return exponential_times(product, first, self.krylov).reshape(like.shape)
        # Both parts of the vector of one size, or the basis would be taken up by the smaller one.
        norm = read(columns.detach().abs().sum(0).amax())
        scale = 2.0 ** math.frexp(norm)[1] if 0.0 < norm < math.inf else 1.0
        tail = torch.zeros(columns.shape[1], dtype=like.dtype, device=like.device)
        tail[-1] = scale
        return exponential_times(product, torch.cat([first, tail]), self.krylov)[: like.numel()].reshape(like.shape)


def exponential_times(product: Product, vector: Tensor, krylov: Krylov) -> Tensor:
    """``exp(B) b``, given ``B``'s product with a vector.

    Args:
        product: ``x -> B x`` for vectors ``(n,)``.
        vector: ``b``, ``(n,)``.
        krylov: the tolerance, and the dimension of the space.
    """
    tolerance = max(krylov.tolerance, 8.0 * torch.finfo(vector.dtype).eps)
    gone, part = 0.0, 1.0
    while gone < 1.0:
        space = _Space(product, vector)
        part = min(2.0 * part, 1.0 - gone)
        while True:
            weights = space.exponential(part)
            error = read(weights[-1].detach().abs())
            if error <= tolerance or error != error:
                break
            if space.dimension < min(krylov.largest, vector.numel()):
                space.extend()
            else:
                part = 0.5 * part
        vector = space.combined(weights)
        gone += part
    return vector


class _Space:
    """The Krylov space of a vector, grown by several dimensions at a time."""

    def __init__(self, product: Product, vector: Tensor):
        self.product = product
        self.norm = torch.linalg.vector_norm(vector)
        self.basis = [vector / torch.where(self.norm > 0, self.norm, 1.0)]
        self.columns: list[Tensor] = []
        self.extend()

    @property
    def dimension(self) -> int:
        """The dimension of the space."""
        return len(self.columns)

    def extend(self, steps: int = 4) -> None:
        """Some steps of Arnoldi's process, orthogonalising twice."""
        for _ in range(min(steps, self.basis[0].numel() - self.dimension)):
            known, image = torch.stack(self.basis), self.product(self.basis[-1])
            column = known.conj() @ image
            image = image - column @ known
            again = known.conj() @ image
            image = image - again @ known
            rest = torch.linalg.vector_norm(image)
            self.columns.append(torch.cat([column + again, rest.to(image.dtype).reshape(1)]))
            self.basis.append(image / torch.where(rest > 0, rest, 1.0))

    def exponential(self, time: float) -> Tensor:
        """The coefficients of ``exp(time B) b / |b|`` in the basis."""
        size = self.dimension + 1
        columns = [torch.nn.functional.pad(column, (0, size - len(column))) for column in self.columns]
        matrix = torch.stack([*columns, torch.zeros_like(columns[0])], -1)
        return torch.linalg.matrix_exp(time * matrix)[:, 0]

    def combined(self, weights: Tensor) -> Tensor:
        """The vector of these coefficients."""
        return self.norm * (weights @ torch.stack(self.basis))
