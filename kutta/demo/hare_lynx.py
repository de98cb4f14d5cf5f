"""Lotka-Volterra parameters from the Hudson's Bay Company record, with uncertainty and a forecast.

Hares ``u`` and lynx ``v``, in thousands of pelts a year, follow

    du/dt = (alpha - beta v) u,      dv/dt = (delta u - gamma) v

and the record is ``log y_i = log z(t_i) + s e_i`` with standard normal ``e_i``, the noise model of
Carpenter's case study (Stan, 2018) with one noise scale for both species. The unknowns are the
logarithms ``p = log(alpha, beta, gamma, delta, u(1900), v(1900))``, so that all stay positive.
"""

from __future__ import annotations

import csv
import math
import time
from dataclasses import dataclass
from importlib.resources import files

import numpy as np
import torch
from torch import Tensor

import kutta as kt

NAMES = ("alpha", "beta", "gamma", "delta", "hares in 1900", "lynx in 1900")
SYMBOLS = {"alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ"}
UNITS = ("1/year", "1/(year × 1000 lynx)", "1/year", "1/(year × 1000 hares)", "1000 pelts", "1000 pelts")
GUESS = (1.0, 0.05, 1.0, 0.05)
"""Where the search starts: the prior means of Carpenter's case study."""

TOLERANCE = 1e-6


@dataclass(frozen=True)
class Published:
    """A published estimate: posterior mean and the ends of the central 80% interval."""

    mean: float
    low: float
    high: float


CARPENTER = {
    "alpha": Published(0.55, 0.47, 0.63),
    "beta": Published(0.028, 0.023, 0.033),
    "gamma": Published(0.80, 0.69, 0.91),
    "delta": Published(0.024, 0.020, 0.029),
}
"""Estimates of B. Carpenter, "Predator-Prey Population Dynamics: the Lotka-Volterra model in Stan", 2018."""


@dataclass(frozen=True)
class Record:
    """Observed pelts.

    Attributes:
        years: shape ``(T,)``.
        pelts: hares and lynx in thousands, shape ``(T, 2)``.
    """

    years: Tensor
    pelts: Tensor

    def until(self, year: float) -> Record:
        """The rows up to and including a year."""
        kept = self.years <= year
        return Record(self.years[kept], self.pelts[kept])

    def after(self, year: float) -> Record:
        """The rows later than a year."""
        kept = self.years > year
        return Record(self.years[kept], self.pelts[kept])


@dataclass(frozen=True)
class Fit:
    """The maximum likelihood estimate and its Gauss-Newton covariance.

    Attributes:
        p: logarithms of the parameters and the initial state, shape ``(6,)``.
        covariance: ``s**2 (J^T J)^-1`` of `p`, with ``J`` the Jacobian of the residuals.
        noise: the noise scale ``s = sqrt(sum r_i**2 / nu)``, in natural logarithms.
        freedom: degrees of freedom, ``nu = n - 6`` for ``n`` numbers.
        explained: share of the variance of the log record that the model explains.
        solves: ODE solves, those for a Jacobian included.
        function_evaluations: evaluations of the right-hand side in them.
        seconds: wall time.
    """

    p: Tensor
    covariance: Tensor
    noise: float
    freedom: int
    explained: float
    solves: int
    function_evaluations: int
    seconds: float

    @property
    def values(self) -> Tensor:
        """Parameters and initial state, ``exp(p)``."""
        return self.p.exp()

    @property
    def standard_errors(self) -> Tensor:
        """Standard errors of the values by the delta method, ``exp(p) sqrt(diag C)``."""
        return self.values * self.covariance.diagonal().sqrt()

    @property
    def interval80(self) -> tuple[Tensor, Tensor]:
        """Central 80% intervals of the values, ``exp(p -+ 1.2816 sqrt(diag C))``."""
        half_width = 1.2816 * self.covariance.diagonal().sqrt()
        return (self.p - half_width).exp(), (self.p + half_width).exp()


@dataclass(frozen=True)
class Forecast:
    """Trajectories of parameters drawn from the fit.

    Attributes:
        years: output times, shape ``(T,)``.
        populations: one trajectory a draw, shape ``(T, B, 2)``.
        observations: the same with observation noise.
        function_evaluations: over all trajectories.
        fewest_steps: of the trajectory with the fewest steps.
        most_steps: of the trajectory with the most steps.
        seconds: wall time of the one solve.
    """

    years: Tensor
    populations: Tensor
    observations: Tensor
    function_evaluations: int
    fewest_steps: int
    most_steps: int
    seconds: float


def decimals(value: float) -> int:
    """Decimals that show two significant figures of a number, and at least one."""
    return max(1, 1 - math.floor(math.log10(value)))


def load_record() -> Record:
    """The 21 years that ship with the package."""
    text = files("kutta.demo").joinpath("data/hare_lynx.csv").read_text()
    rows = list(csv.DictReader(text.splitlines()))
    years = torch.tensor([float(row["year"]) for row in rows], dtype=torch.float64)
    pelts = torch.tensor([[float(row["hare"]), float(row["lynx"])] for row in rows], dtype=torch.float64)
    return Record(years, pelts)


def lotka_volterra(t: Tensor, y: Tensor, alpha: Tensor, beta: Tensor, gamma: Tensor, delta: Tensor) -> Tensor:
    """The right-hand side, for one state ``(2,)`` or many ``(B, 2)`` with parameters ``(B,)``."""
    hares, lynx = y.unbind(-1)
    return torch.stack(((alpha - beta * lynx) * hares, (delta * hares - gamma) * lynx), dim=-1)


def solve_record(p: Tensor, years: Tensor) -> kt.Solution:
    """The solution at the given years, the first of which is the initial time."""
    rates, start = p[:4].exp(), p[4:].exp()
    span = (float(years[0]), float(years[-1]))
    problem = kt.ODEProblem(lotka_volterra, start, span, args=tuple(rates))
    return kt.solve(problem, kt.Tsit5(), rtol=TOLERANCE, atol=TOLERANCE, save_at=years)


def residuals(p: Tensor, record: Record) -> Tensor:
    """``r_i = log z(t_i; p) - log y_i``, hares and lynx of each year in turn, shape ``(2 T,)``."""
    return (solve_record(p, record.years).ys.log() - record.pelts.log()).flatten()


def loss(p: Tensor, record: Record) -> Tensor:
    """Half the sum of squared residuals: the negative log likelihood up to scale and constants."""
    return 0.5 * residuals(p, record).square().sum()


class _Residuals:
    """Residuals and Jacobian as SciPy asks for them, counting what they cost."""

    def __init__(self, record: Record, progress: bool):
        from tqdm import tqdm

        self.record = record
        self.solves = 0
        self.function_evaluations = 0
        self.bar = tqdm(desc="Hare and lynx: fit", unit=" solves", disable=not progress)

    def __call__(self, p: np.ndarray) -> np.ndarray:
        value, evaluations = self._residuals(torch.from_numpy(p))
        self._count(int(evaluations))
        self.bar.set_postfix(squares=f"{float(value.square().sum()):.4f}", refresh=False)
        return value.numpy()

    def jacobian(self, p: np.ndarray) -> np.ndarray:
        """``dr_i / dp_j`` by reverse mode through the solve."""
        rows, evaluations = torch.func.jacrev(self._residuals, has_aux=True)(torch.from_numpy(p))
        self._count(int(evaluations))
        return rows.detach().numpy()

    def _residuals(self, p: Tensor) -> tuple[Tensor, Tensor]:
        solution = solve_record(p, self.record.years)
        difference = (solution.ys.log() - self.record.pelts.log()).flatten()
        return difference, torch.tensor(solution.stats.function_evaluations)

    def _count(self, evaluations: int) -> None:
        self.solves += 1
        self.function_evaluations += evaluations
        self.bar.update()


def fit(record: Record, progress: bool = False) -> Fit:
    """Nonlinear least squares on the log record: a trust region method with Jacobians through the solve."""
    from scipy.optimize import least_squares

    began = time.perf_counter()
    model = _Residuals(record, progress)
    guess = np.log(np.concatenate((GUESS, record.pelts[0].numpy())))
    with model.bar:
        answer = least_squares(model, guess, model.jacobian)  # type: ignore[arg-type]
    if not answer.success:
        raise RuntimeError(f"the fit of the hare and lynx record did not converge: {answer.message}")
    squares, count = 2.0 * answer.cost, record.pelts.numel()
    freedom = count - len(NAMES)
    noise = float(squares / freedom) ** 0.5
    spread = (record.pelts.log() - record.pelts.log().mean(0)).square().sum()
    return Fit(
        p=torch.from_numpy(answer.x),
        covariance=torch.from_numpy(noise**2 * np.linalg.inv(answer.jac.T @ answer.jac)),
        noise=noise,
        freedom=freedom,
        explained=float(1.0 - squares / spread),
        solves=model.solves,
        function_evaluations=model.function_evaluations,
        seconds=time.perf_counter() - began,
    )


def draw(found: Fit, draws: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Parameters and noise scales from the fitted uncertainty, shapes ``(B, 6)`` and ``(B,)``.

    ``s_k = s sqrt(nu / chi2_nu)`` and ``p_k ~ N(p_hat, (s_k / s)**2 C)``, the posterior of a linear
    model under a flat prior on ``p`` and ``log s``.
    """
    normal = torch.randn(draws, len(NAMES), generator=generator, dtype=torch.float64)
    chi2 = torch.randn(draws, found.freedom, generator=generator, dtype=torch.float64).square().sum(1)
    scale = (found.freedom / chi2).sqrt()
    shift = scale[:, None] * (normal @ torch.linalg.cholesky(found.covariance).T)
    return (found.p + shift).exp(), found.noise * scale


def forecast(found: Fit, years: Tensor, draws: int, seed: int, progress: bool = False) -> Forecast:
    """Trajectories ``z_k`` of drawn parameters in one ensemble solve, and ``z_k exp(s_k e)`` for observations."""
    began = time.perf_counter()
    generator = torch.Generator().manual_seed(seed)
    values, noise = draw(found, draws, generator)
    span = (float(years[0]), float(years[-1]))
    problem = kt.EnsembleProblem(lotka_volterra, values[:, 4:], span, args=tuple(values[:, :4].T), vectorized=True)
    solution = kt.solve(problem, kt.Tsit5(), rtol=TOLERANCE, atol=TOLERANCE, save_at=years, progress=progress)
    error = noise[:, None] * torch.randn(solution.ys.shape, generator=generator, dtype=torch.float64)
    steps = torch.as_tensor(solution.stats.steps)
    return Forecast(
        years=years,
        populations=solution.ys,
        observations=solution.ys * error.exp(),
        function_evaluations=int(torch.as_tensor(solution.stats.function_evaluations).sum()),
        fewest_steps=int(steps.min()),
        most_steps=int(steps.max()),
        seconds=time.perf_counter() - began,
    )


def interval(samples: Tensor, level: float) -> tuple[Tensor, Tensor]:
    """The central interval of the given probability over axis 1, by quantiles of the draws."""
    ends = torch.tensor([0.5 * (1.0 - level), 0.5 * (1.0 + level)], dtype=samples.dtype)
    low, high = samples.quantile(ends, dim=1)
    return low, high


def coverage(ahead: Forecast, record: Record, level: float) -> float:
    """Share of the record inside the central prediction interval of the given probability."""
    rows = torch.searchsorted(ahead.years, record.years)
    if not torch.allclose(ahead.years[rows], record.years):
        raise ValueError("the forecast has no output at some year of the record")
    low, high = interval(ahead.observations[rows], level)
    return float(((low <= record.pelts) & (record.pelts <= high)).double().mean())


@dataclass(frozen=True)
class Study:
    """The whole study: fit, forecast, and how well the intervals held.

    Attributes:
        record: the data.
        fit: the estimate from all of it.
        ahead: the forecast from that estimate.
        coverage: share of the record inside the prediction intervals, by their probability.
        withheld_after: last year that the second fit saw.
        withheld_coverage: share of the later record inside that fit's intervals.
    """

    record: Record
    fit: Fit
    ahead: Forecast
    coverage: dict[float, float]
    withheld_after: int
    withheld_coverage: dict[float, float]


LEVELS = (0.5, 0.9)


def study(
    seed: int = 0, draws: int = 500, until: float = 1935.0, withheld_after: int = 1913, progress: bool = False
) -> Study:
    """Fit the record, forecast, and repeat with the last third of the record withheld."""
    record = load_record()
    found = fit(record, progress)
    ahead = forecast(found, _grid(record, until), draws, seed, progress)
    early, late = record.until(withheld_after), record.after(withheld_after)
    blind = forecast(fit(early), _grid(record, float(record.years[-1])), draws, seed + 1)
    return Study(
        record=record,
        fit=found,
        ahead=ahead,
        coverage={level: coverage(ahead, record, level) for level in LEVELS},
        withheld_after=withheld_after,
        withheld_coverage={level: coverage(blind, late, level) for level in LEVELS},
    )


def _grid(record: Record, until: float) -> Tensor:
    """Eight output times a year, so that curves look smooth and every year is one of them."""
    first = float(record.years[0])
    return torch.linspace(first, until, int(8 * (until - first)) + 1, dtype=torch.float64)
