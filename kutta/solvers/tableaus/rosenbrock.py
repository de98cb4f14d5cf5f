"""Rosenbrock methods, which solve one linear system a stage with the Jacobian of the step's start.

As published, with ``J = df/dy`` and ``f_t = df/dt`` at the start, a method has coefficients ``alpha_ij`` and
``gamma_ij`` with ``gamma_ii = gamma``:

    k_i = f(t + alpha_i h, y + h sum_{j<i} alpha_ij k_j) + h J sum_{j<=i} gamma_ij k_j + gamma_i h f_t
    y1 = y + h sum_i b_i k_i

The tables hold it in the variables ``u_i = h sum_j gamma_ij k_j``, in which no product with ``J`` is left
(Hairer and Wanner, Solving Ordinary Differential Equations II, section IV.7):

    (I / (h gamma) - J) u_i = f(t + alpha_i h, y + sum_{j<i} a_ij u_j) + sum_{j<i} c_ij u_j / h + gamma_i h f_t
    y1 = y + sum_i m_i u_i

where with the matrix ``G = (gamma_ij)``: ``a = alpha G^-1``, ``c = I / gamma - G^-1``, ``m = b G^-1``.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from .parse import butcher, row
from .tableau import Row


@dataclass(frozen=True, eq=False, repr=False)
class RosenbrockTableau:
    """A Rosenbrock method as data; two tableaus are equal when they are the same object.

    Attributes:
        name: the name in the literature.
        order: order of the solution that is propagated.
        embedded_order: order of the solution ``y1 - error``.
        gamma: the coefficient ``gamma`` of the linear systems.
        nodes: ``alpha_i``, the times of the stages.
        a: ``a_ij``, the strictly lower triangle; row ``i`` (from 0) has ``i`` entries.
        coupling: ``c_ij``, likewise.
        time_weights: ``gamma_i``, the weights of ``h f_t``.
        weights: ``m_i``.
        error: ``e_i``, the weights of the error estimate ``sum_i e_i u_i``.
        interpolant: row ``i`` holds the coefficients of ``theta, theta**2, ...`` in ``P_i``, for the dense
            output ``y(t + theta h) = y + sum_i P_i(theta) u_i``.
        interpolant_order: its order (local error ``O(h**(order + 1))``).
        source: citation of the coefficients.
    """

    name: str
    order: int
    embedded_order: int
    gamma: Fraction
    nodes: Row
    a: tuple[Row, ...]
    coupling: tuple[Row, ...]
    time_weights: Row
    weights: Row
    error: Row
    interpolant: tuple[Row, ...]
    interpolant_order: int
    source: str

    def __post_init__(self) -> None:
        for field in ("a", "coupling", "time_weights", "weights", "error", "interpolant"):
            if len(getattr(self, field)) != self.stages:
                raise ValueError(
                    f"Rosenbrock tableau {self.name!r}: {field} must have {self.stages} entries, as nodes has; "
                    f"got {len(getattr(self, field))}"
                )
        for field in ("a", "coupling"):
            for index, entries in enumerate(getattr(self, field)):
                if len(entries) != index:
                    raise ValueError(
                        f"Rosenbrock tableau {self.name!r}: row {index} of {field} must have {index} entries, "
                        f"got {len(entries)}"
                    )

    def __repr__(self) -> str:
        return f"RosenbrockTableau({self.name!r})"

    @property
    def stages(self) -> int:
        """Number of stages."""
        return len(self.nodes)

    @property
    def first_same_as_last(self) -> bool:
        """Whether the last stage evaluates ``f(t1, y1)``, which the next step's first stage does."""
        return self.nodes[-1] == 1 and self.weights[-1] == 0 and self.a[-1] == self.weights[:-1]


# Shampine and Reichelt's pair, as published:
#   k_1 = W^-1 (F_0 + h d T),  k_2 = W^-1 (F_1 - k_1) + k_1,  y1 = y + h k_2,
#   k_3 = W^-1 (F_2 - e (k_2 - F_1) - 2 (k_1 - F_0) + h d T),  y1 - y1_hat = -h (k_1 - 2 k_2 + k_3) / 6
# with W = I - h d J, F_0, F_1, F_2 = f at t, t + h / 2, t + h, d = 1 / (2 + sqrt 2) and e = 6 + sqrt 2.
# The first two lines turn F_0 and F_1 in the third into J k_1, J k_2 and T, so that
#   G = d [[1, 0, 0], [-1, 1, 0], [e - 2, -e, 1]],  G^-1 = [[1, 0, 0], [1, 1, 0], [2, e, 1]] / d.
_root = Fraction("1.4142135623730950488016887242096980785697")
_inverse = 2 + _root  # 1 / d
_zero, _one = Fraction(0), Fraction(1)

ROSENBROCK23 = RosenbrockTableau(
    name="Rosenbrock 2(3), Shampine and Reichelt",
    order=2,
    embedded_order=3,
    gamma=1 - _root / 2,
    nodes=row("0 1/2 1"),
    a=((), (_inverse / 2,), (_inverse, _inverse)),
    coupling=((), (-_inverse,), (-2 * _inverse, -(14 + 8 * _root))),
    time_weights=(1 - _root / 2, _zero, _root / 2 - 1),
    weights=(_inverse, _inverse, _zero),
    error=(-_inverse / 6, -(10 + 6 * _root) / 6, -_inverse / 6),
    # theta (1 - theta) / (1 - 2 d) k_1 + theta (theta - 2 d) / (1 - 2 d) k_2
    interpolant=((_inverse, _zero), (-2 * (1 + _root), 4 + 3 * _root), (_zero, _zero)),
    interpolant_order=2,
    source="L. F. Shampine, M. W. Reichelt, SIAM J. Sci. Comput. 18 (1997) 1-22",
)


_nodes, _a = butcher(
    """
    0                  |
    0.6358126895828704 |  3
    0.4095798393397535 |  2.849394379747939   0.45842242204463923
    0.9769306725060716 | -6.954028509809101   2.489845061869568   -10.358996098473584
    0.4288403609558664 |  2.8029986275628964  0.5072464736228206   -0.3988312541770524  -0.04721187230404641
    1                  | -7.502846399306121   2.561846144803919   -11.627539656261098   -0.18268767659942256
                       |  0.030198172008377946
    1                  | -7.502846399306121   2.561846144803919   -11.627539656261098   -0.18268767659942256
                       |  0.030198172008377946  1
    1                  | -7.502846399306121   2.561846144803919   -11.627539656261098   -0.18268767659942256
                       |  0.030198172008377946  1  1
    """
)

_time_weights, _coupling = butcher(
    """
     0.21193756319429014 |
    -0.42387512638858027 | -14.155112264123755
    -0.3384627126235924  | -17.97296035885952   -2.859693295451294
     1.8046452872882734  | 147.12150275711716   -1.41221402718213    71.68940251302358
     2.325825639765069   | 165.43517024871676   -0.4592823456491126  42.90938336958603  -5.961986721573306
     0                   |  24.854864614690072  -3.0009227002832186  47.4931110020768    5.5814197821558125
                         |  -0.6610691825249471
     0                   |  30.91273214028599   -3.1208243349937974  77.79954646070892  34.28646028294783
                         | -19.097331116725623 -28.087943162872662
     0                   |  37.80277123390563   -3.2571969029072276 112.26918849496327  66.9347231244047
                         | -40.06618937091002  -54.66780262877968    -9.48861652309627
    """
)

# The rows of the matrix H of the dense output, which is
#   y(theta) = (1 - theta) y + theta (y1 + (1 - theta) sum_i (H_1i + theta H_2i + theta^2 H_3i) u_i).
_dense = (
    row(
        """
         25.948786856663858   -2.5579724845846235  10.433815404888879   -2.3679251022685204
          0.524948541321073    1.1241088310450404   0.4272876194431874  -0.17202221070155493
        """
    ),
    row(
        """
         -9.91568850695171    -0.9689944594115154   3.0438037242978453 -24.495224566215796
         20.176138334709044   15.98066361424651    -6.789040303419874   -6.710236069923372
        """
    ),
    row(
        """
         11.419903575922262    2.8879645146136994  72.92137995996029    80.12511834622643
        -52.072871366152654  -59.78993625266729    -0.15582684282751913  4.883087185713722
        """
    ),
)

_weights = (*_a[-1], _one)

RODAS5P = RosenbrockTableau(
    name="Rodas5P",
    order=5,
    embedded_order=4,
    gamma=_time_weights[0],
    nodes=_nodes,
    a=_a,
    coupling=_coupling,
    time_weights=_time_weights,
    weights=_weights,
    error=row("0 0 0 0 0 0 0 1"),
    interpolant=tuple(
        (weight + first, second - first, third - second, -third)
        for weight, first, second, third in zip(_weights, *_dense, strict=True)
    ),
    interpolant_order=4,
    source="G. Steinebach, BIT Numer. Math. 63 (2023) 27",
)
