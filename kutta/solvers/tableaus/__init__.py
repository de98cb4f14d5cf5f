"""Coefficient tables of time-stepping methods, with their sources."""

from .dormand_prince import DOPRI5, DOPRI8
from .exponential import ETD1, ETDRK2, ETDRK3, ETDRK4, KROGSTAD4, LAWSON4, ExponentialTableau
from .imex import ARS222, ARS443, ImexTableau
from .low_order import BOSH3, EULER, FEHLBERG2, HEUN, MIDPOINT, RALSTON, RK4, RK38, SSPRK22, SSPRK33, SSPRK104
from .low_storage import CARPENTER_KENNEDY54, WILLIAMSON3, LowStorageTableau
from .rosenbrock import RODAS5P, ROSENBROCK23, RosenbrockTableau
from .splitting import KAHAN_LI6, RUTH3, SEMI_IMPLICIT_EULER, VELOCITY_VERLET, YOSHIDA4, Splitting
from .tableau import Interpolant, Tableau
from .tsitouras import TSIT5
from .verner import VERN6, VERN7, VERN8, VERN9

__all__ = [
    "ARS222",
    "ARS443",
    "BOSH3",
    "CARPENTER_KENNEDY54",
    "DOPRI5",
    "DOPRI8",
    "ETD1",
    "ETDRK2",
    "ETDRK3",
    "ETDRK4",
    "EULER",
    "FEHLBERG2",
    "HEUN",
    "KAHAN_LI6",
    "KROGSTAD4",
    "LAWSON4",
    "MIDPOINT",
    "RALSTON",
    "RK4",
    "RK38",
    "RODAS5P",
    "ROSENBROCK23",
    "RUTH3",
    "SEMI_IMPLICIT_EULER",
    "SSPRK22",
    "SSPRK33",
    "SSPRK104",
    "TSIT5",
    "VELOCITY_VERLET",
    "VERN6",
    "VERN7",
    "VERN8",
    "VERN9",
    "WILLIAMSON3",
    "YOSHIDA4",
    "ExponentialTableau",
    "ImexTableau",
    "Interpolant",
    "LowStorageTableau",
    "RosenbrockTableau",
    "Splitting",
    "Tableau",
]
