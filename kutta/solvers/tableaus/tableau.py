"""The record that describes a Runge-Kutta method: exact numbers and where they come from.

With step size ``h`` a method of ``s`` stages computes

    g_i = y_n + h * sum_{j < i} a_ij k_j,      k_i = f(t_n + c_i h, g_i),      i = 1..s
    y_{n+1} = y_n + h * sum_i b_i k_i

Every number is a `Fraction`, so that order conditions can be checked without rounding; decimal
coefficients of a source are the exact value of their printed digits.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

Row = tuple[Fraction, ...]


@dataclass(frozen=True)
class Interpolant:
    """A polynomial in ``theta = (t - t_n) / h`` built from the stages of one step.

    ``y(t_n + theta h) = y_n + h * sum_i P_i(theta) k_i`` where row ``i`` of `weights` holds the
    coefficients of ``theta, theta**2, ...`` in ``P_i``. The stages are, in this order: the stages
    of the step; ``f(t_{n+1}, y_{n+1})`` unless the method's last stage is that already; the extra
    stages below, which are evaluated only when an output lies inside the step.

    Attributes:
        order: the order of the interpolant (local error ``O(h**(order + 1))``).
        weights: one row a stage, all of one length.
        extra_c: nodes of the extra stages.
        extra_a: their rows; row ``i`` has one entry for every stage before it.
        source: where the numbers come from.
    """

    order: int
    weights: tuple[Row, ...]
    extra_c: Row = ()
    extra_a: tuple[Row, ...] = ()
    source: str = ""


@dataclass(frozen=True, eq=False, repr=False)
class Tableau:
    """An explicit Runge-Kutta method as data; two tableaus are equal when they are the same object.

    Attributes:
        name: the name in the literature.
        order: order of the solution that is propagated.
        c: the nodes, ``c_1 = 0``.
        a: the strictly lower triangle; row ``i`` (from 0) has ``i`` entries.
        b: the weights.
        source: citation of the coefficients.
        error: ``b - b_hat``, the weights of the embedded error estimate; ``None`` without one.
        embedded_order: order of the embedded solution ``b_hat``.
        second_error: weights of a second, lower-order estimate (DOP853's third-order one).
        interpolant: dense output; ``None`` means cubic Hermite.
        equal_nodes: indices from 0 of two stages with equal ``c``, for the stiffness estimate
            ``|k_a - k_b| / |g_a - g_b|``; ``None`` without one. The index `stages`, one past the last
            stage, stands for the end of the step, ``g = y_{n+1}`` and ``k = f(t_{n+1}, y_{n+1})``.
        stability_size: length of the stability region along the negative real axis.
    """

    name: str
    order: int
    c: Row
    a: tuple[Row, ...]
    b: Row
    source: str
    error: Row | None = None
    embedded_order: int | None = None
    second_error: Row | None = None
    interpolant: Interpolant | None = None
    equal_nodes: tuple[int, int] | None = None
    stability_size: float | None = None

    def __post_init__(self) -> None:
        stages = len(self.c)
        if len(self.b) != stages or len(self.a) != stages:
            raise ValueError(
                f"tableau {self.name!r}: c, a and b must have one entry a stage; "
                f"got {stages}, {len(self.a)} and {len(self.b)}"
            )
        for index, row in enumerate(self.a):
            if len(row) != index:
                raise ValueError(f"tableau {self.name!r}: row {index} of a must have {index} entries, got {len(row)}")
        for field in ("error", "second_error"):
            weights = getattr(self, field)
            if weights is not None and len(weights) != stages:
                raise ValueError(f"tableau {self.name!r}: {field} must have {stages} entries, got {len(weights)}")

    def __repr__(self) -> str:
        return f"Tableau({self.name!r})"

    @property
    def stages(self) -> int:
        """Number of stages."""
        return len(self.c)

    @property
    def estimates_stiffness(self) -> bool:
        """Whether two stages are at one time, be it the end of the step and the embedded solution there."""
        return self.equal_nodes is not None or (self.first_same_as_last and self.error is not None)

    @property
    def first_same_as_last(self) -> bool:
        """Whether the last stage is ``f(t_{n+1}, y_{n+1})``, the next step's first stage."""
        return self.stages > 1 and self.c[-1] == 1 and self.b[-1] == 0 and self.a[-1] == self.b[:-1]

    @property
    def interpolation_weights(self) -> tuple[Row, ...]:
        """The polynomials ``P_i`` of dense output, those of the interpolant or of cubic Hermite interpolation.

        The latter needs the stages and the slope at the end of the step: with ``y1 = y + h sum_i b_i k_i``,
        ``(3 u^2 - 2 u^3) (y1 - y) + (u - 2 u^2 + u^3) h k_first + (u^3 - u^2) h k_last`` for ``u = theta``.
        """
        if self.interpolant is not None:
            return self.interpolant.weights
        last = self.stages - self.first_same_as_last
        rows: list[Row] = [(Fraction(0), 3 * b, -2 * b) for b in (*self.b[:last], Fraction(0))]
        for place, slope in ((0, (1, -2, 1)), (last, (0, -1, 1))):
            rows[place] = tuple(one + other for one, other in zip(rows[place], slope, strict=True))
        return tuple(rows)
