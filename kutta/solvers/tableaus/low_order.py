"""Methods of order one to four.

The classical ones are in E. Hairer, S. P. Norsett, G. Wanner, "Solving Ordinary Differential Equations
I", second edition, Springer (1993), sections II.1 and II.4. Where a method of order two carries an
error estimate, it is the difference to the Euler step ``y + h k_1``, unless its authors gave another.
"""

from __future__ import annotations

from .parse import butcher, row
from .tableau import Tableau

_c, _a = butcher("0 |")

EULER = Tableau(
    name="Euler",
    order=1,
    c=_c,
    a=_a,
    b=row("1"),
    source="L. Euler, Institutionum calculi integralis, volume 1 (1768)",
    stability_size=2.0,
)

_c, _a = butcher(
    """
    0   |
    1/2 | 1/2
    """
)

MIDPOINT = Tableau(
    name="Midpoint",
    order=2,
    c=_c,
    a=_a,
    b=row("0 1"),
    error=row("-1 1"),
    embedded_order=1,
    source="C. Runge, Math. Ann. 46 (1895) 167-178; error against Euler",
    stability_size=2.0,
)

_c, _a = butcher(
    """
    0 |
    1 | 1
    """
)

HEUN = Tableau(
    name="Heun",
    order=2,
    c=_c,
    a=_a,
    b=row("1/2 1/2"),
    error=row("-1/2 1/2"),
    embedded_order=1,
    source="K. Heun, Z. Math. Phys. 45 (1900) 23-38, the trapezoidal member; error against Euler",
    equal_nodes=(1, 2),
    stability_size=2.0,
)

_c, _a = butcher(
    """
    0   |
    2/3 | 2/3
    """
)

RALSTON = Tableau(
    name="Ralston",
    order=2,
    c=_c,
    a=_a,
    b=row("1/4 3/4"),
    error=row("-3/4 3/4"),
    embedded_order=1,
    source="A. Ralston, Math. Comp. 16 (1962) 431-437; error against Euler",
    stability_size=2.0,
)

_c, _a = butcher(
    """
    0   |
    1/2 | 1/2
    1   | 1/256 255/256
    """
)

FEHLBERG2 = Tableau(
    name="Fehlberg 2(1)",
    order=2,
    c=_c,
    a=_a,
    b=row("1/512 255/256 1/512"),
    error=row("-1/512 0 1/512"),
    embedded_order=1,
    source="E. Fehlberg, NASA Technical Report R-315 (1969), RK1(2); the second-order solution is propagated",
    stability_size=2.0078,
)

_c, _a = butcher(
    """
    0   |
    1   | 1
    1/2 | 1/4 1/4
    """
)

SSPRK33 = Tableau(
    name="SSPRK(3,3)",
    order=3,
    c=_c,
    a=_a,
    b=row("1/6 1/6 2/3"),
    source="C.-W. Shu, S. Osher, J. Comput. Phys. 77 (1988) 439-471",
    stability_size=2.5127,
)

SSPRK22 = Tableau(
    name="SSPRK(2,2)",
    order=2,
    c=HEUN.c,
    a=HEUN.a,
    b=HEUN.b,
    error=HEUN.error,
    embedded_order=1,
    source="C.-W. Shu, S. Osher, J. Comput. Phys. 77 (1988) 439-471: the trapezoidal rule of Heun; error against Euler",
    equal_nodes=(1, 2),
    stability_size=2.0,
)

_c, _a = butcher(
    """
    0   |
    1/6 | 1/6
    1/3 | 1/6  1/6
    1/2 | 1/6  1/6  1/6
    2/3 | 1/6  1/6  1/6  1/6
    1/3 | 1/15 1/15 1/15 1/15 1/15
    1/2 | 1/15 1/15 1/15 1/15 1/15 1/6
    2/3 | 1/15 1/15 1/15 1/15 1/15 1/6 1/6
    5/6 | 1/15 1/15 1/15 1/15 1/15 1/6 1/6 1/6
    1   | 1/15 1/15 1/15 1/15 1/15 1/6 1/6 1/6 1/6
    """
)

SSPRK104 = Tableau(
    name="SSPRK(10,4)",
    order=4,
    c=_c,
    a=_a,
    b=row("1/10 1/10 1/10 1/10 1/10 1/10 1/10 1/10 1/10 1/10"),
    source="D. I. Ketcheson, SIAM J. Sci. Comput. 30 (2008) 2113-2136",
    equal_nodes=(4, 7),
    stability_size=13.9170,
)

_c, _a = butcher(
    """
    0   |
    1/2 | 1/2
    3/4 | 0   3/4
    1   | 2/9 1/3 4/9
    """
)

BOSH3 = Tableau(
    name="Bogacki-Shampine 3(2)",
    order=3,
    c=_c,
    a=_a,
    b=row("2/9 1/3 4/9 0"),
    error=row("-5/72 1/12 1/9 -1/8"),
    embedded_order=2,
    source="P. Bogacki, L. F. Shampine, Appl. Math. Lett. 2 (1989) 321-325",
    stability_size=2.5127,
)

_c, _a = butcher(
    """
    0   |
    1/2 | 1/2
    1/2 | 0   1/2
    1   | 0   0   1
    """
)

RK4 = Tableau(
    name="RK4",
    order=4,
    c=_c,
    a=_a,
    b=row("1/6 1/3 1/3 1/6"),
    source="W. Kutta, Z. Math. Phys. 46 (1901) 435-453, the classical rule",
    equal_nodes=(1, 2),
    stability_size=2.7853,
)

_c, _a = butcher(
    """
    0   |
    1/3 |  1/3
    2/3 | -1/3  1
    1   |  1   -1   1
    """
)

RK38 = Tableau(
    name="RK 3/8",
    order=4,
    c=_c,
    a=_a,
    b=row("1/8 3/8 3/8 1/8"),
    source="W. Kutta, Z. Math. Phys. 46 (1901) 435-453, the 3/8 rule",
    stability_size=2.7853,
)
