"""A fit of four parameters from many starts at once: gradients by sensitivities in the kernel, against autograd."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch import Tensor

import kutta as kt
from benchmarks import _peers
from benchmarks._families import LOTKA_VOLTERRA
from benchmarks._measure import Spread, measure, ratio
from benchmarks._problems import Array, relative_error
from benchmarks._report import Report, arguments, finish, verdict

TOL = {"rtol": 1e-6, "atol": 1e-6}
TIGHT = {"rtol": 1e-11, "atol": 1e-11, "engine": kt.Eager()}
METHOD = kt.Tsit5()
RESTARTS, QUICK = 1000, 8
OBSERVATIONS, NOISE = 20, 0.05
ITERATIONS, QUICK_ITERATIONS, RATE = 200, 5, 0.05
OURS, EAGER, BAR = "kutta, kernel", "kutta, eager, Direct", 30.0

Gradient = Callable[[Tensor], tuple[Tensor, Tensor]]


def observations(noise: float = NOISE) -> tuple[Tensor, Tensor]:
    """Times ``(T,)``, and noisy populations there, ``(T, 2)``."""
    times = np.linspace(*LOTKA_VOLTERRA.span, OBSERVATIONS + 1)
    exact = LOTKA_VOLTERRA.reference(tuple(times))[1:]
    noisy = exact + noise * np.random.default_rng(0).normal(size=exact.shape)
    return torch.from_numpy(times[1:]), torch.from_numpy(noisy)


def starts(count: int) -> Tensor:
    """Logarithms of the parameters, each within a factor of two of the truth, ``(B, 4)``."""
    shifts = np.random.default_rng(1).uniform(-np.log(2.0), np.log(2.0), size=(count, 4))
    return torch.from_numpy(np.log(LOTKA_VOLTERRA.parameters) + shifts)


def losses(q: Tensor, times: Tensor, seen: Tensor, **options: Any) -> Tensor:
    """Mean square distance of each trajectory from what was seen, ``(B,)``."""
    y0 = torch.tensor(LOTKA_VOLTERRA.y0, dtype=torch.float64).expand(len(q), 2)
    problem = kt.EnsembleProblem(LOTKA_VOLTERRA.torch, y0, LOTKA_VOLTERRA.span, args=(q.exp(),), vectorized=True)
    ys = kt.solve(problem, METHOD, save_at=times, throw=False, **options).ys
    return (ys - seen[:, None]).square().mean((0, 2))


def with_kutta(times: Tensor, seen: Tensor, **options: Any) -> Gradient:
    """Losses and their gradients by `kutta.solve`."""

    def gradient(q: Tensor) -> tuple[Tensor, Tensor]:
        q = q.detach().requires_grad_()
        loss = losses(q, times, seen, **options)
        return loss.detach(), torch.autograd.grad(loss.sum(), q)[0]

    return gradient


def with_diffrax(times: Tensor, seen: Tensor, forward: bool) -> Gradient:
    """The same by diffrax: jit of vmap of the derivative in one mode or the other."""
    import diffrax as dfx
    import jax
    import jax.numpy as jnp

    ts, target, y0 = jnp.asarray(times.numpy()), jnp.asarray(seen.numpy()), jnp.asarray(LOTKA_VOLTERRA.y0)
    adjoint = dfx.ForwardMode() if forward else dfx.RecursiveCheckpointAdjoint()

    def loss(q: Any) -> Any:
        solution = dfx.diffeqsolve(
            dfx.ODETerm(LOTKA_VOLTERRA.jax),
            dfx.Tsit5(),
            *LOTKA_VOLTERRA.span,
            dt0=None,
            y0=y0,
            args=jnp.exp(q),
            saveat=dfx.SaveAt(ts=ts),
            stepsize_controller=dfx.PIDController(**TOL),
            adjoint=adjoint,
            max_steps=4096,
        )
        return jnp.mean((solution.ys - target) ** 2)

    derivative = jax.jacfwd if forward else jax.grad
    mapped = jax.jit(jax.vmap(derivative(lambda q: 2 * (loss(q),), has_aux=True)))

    def gradient(q: Tensor) -> tuple[Tensor, Tensor]:
        slope, value = jax.block_until_ready(mapped(jnp.asarray(q.numpy())))
        return torch.from_numpy(np.array(value)), torch.from_numpy(np.array(slope))

    return gradient


def solvers(times: Tensor, seen: Tensor, absent: Sequence[str]) -> dict[str, Gradient]:
    """Ways to the losses and their gradients."""
    found = {
        OURS: with_kutta(times, seen, engine=kt.Kernel(), **TOL),
        EAGER: with_kutta(times, seen, engine=kt.Eager(), adjoint=kt.Direct(), **TOL),
    }
    if "diffrax" not in absent:
        found["diffrax, reverse mode"] = with_diffrax(times, seen, forward=False)
        found["diffrax, forward mode"] = with_diffrax(times, seen, forward=True)
    return found


def compare(report: Report, count: int, repeats: int, absent: Sequence[str]) -> None:
    """Time of the losses and gradients of all restarts, and how accurate they are."""
    times, seen = observations()
    q = starts(count)
    found = solvers(times, seen, absent)
    exact = [one.numpy() for one in with_kutta(times, seen, adjoint=kt.Direct(), **TIGHT)(q)]
    timings = measure({name: lambda gradient=gradient: gradient(q) for name, gradient in found.items()}, repeats)
    columns = ("solver", "ms", "error of the losses", "error of the gradients", "time / kernel", "bar")
    table = report.table(f"Losses and gradients of {count} restarts", *columns)
    for name, gradient in found.items():
        errors = [relative_error(one.numpy(), truth) for one, truth in zip(gradient(q), exact, strict=True)]
        slower = ratio(timings[name], timings[OURS])
        milliseconds = Spread.of([1e3 * seconds for seconds in timings[name]])
        table.add(name, milliseconds, *errors, slower, verdict(slower, BAR) if name == EAGER else None)
    report.data["seconds"] = timings


def fit(report: Report, count: int, iterations: int) -> list[Array]:
    """The whole fit by Adam, each restart for itself, in the kernel; the losses before every iteration."""
    gradient = with_kutta(*observations(), engine=kt.Kernel(), **TOL)
    q = starts(count).requires_grad_()
    optimizer = torch.optim.Adam([q], lr=RATE)
    history: list[Array] = []
    began = perf_counter()
    for _ in range(iterations):
        loss, q.grad = gradient(q)
        optimizer.step()
        history.append(loss.numpy())
    seconds = perf_counter() - began
    show_fit(report, q.detach().exp(), gradient(q)[0], iterations, seconds)
    return history


def show_fit(report: Report, p: Tensor, loss: Tensor, iterations: int, seconds: float) -> None:
    """The parameters that were found."""
    title = f"{iterations} iterations of Adam on {len(p)} restarts in the kernel: {seconds:.3g} s"
    table = report.table(title, "parameters", "birth", "catch", "gain", "death", "loss")
    there = loss < 1.05 * loss.min()
    truth = torch.tensor(LOTKA_VOLTERRA.parameters, dtype=torch.float64)
    exact = losses(truth.log()[None], *observations(), **TIGHT)[0]
    table.add("the true ones", *truth.tolist(), float(exact))
    table.add("of the best restart", *p[loss.argmin()].tolist(), float(loss.min()))
    share = f"median of the {int(there.sum())} restarts within 5 % of its loss"
    table.add(share, *p[there].median(0).values.tolist(), float(loss[there].median()))
    report.data["fit seconds"] = seconds


def draw(history: Sequence[Array], path: Path) -> None:
    """Quantiles of the loss over the restarts."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(7, 4.5))
    for quantile in (0.05, 0.25, 0.5, 0.75, 0.95):
        axis.plot([np.nanquantile(one, quantile) for one in history], label=f"{quantile:.0%} of the restarts")
    axis.axhline(NOISE**2, color="black", linestyle=":", linewidth=1, label="variance of the noise")
    axis.set(yscale="log", xlabel="iteration", ylabel="mean square distance")
    axis.grid(alpha=0.3)
    axis.legend(frameon=False)
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    plt.close(figure)


NOTES = (
    f"Lotka-Volterra from (1, 1) over [0, 10]: both populations seen {OBSERVATIONS} times, with normal noise of "
    f"standard deviation {NOISE}; parameters as logarithms, restarts within a factor of two of the truth.",
    "Errors: over all restarts, relative in the root mean square, against autograd through the eager engine at 1e-11.",
    "diffrax: jit of vmap, compilation excluded; reverse mode with its default adjoint, forward mode with ForwardMode, "
    "each beside the value of the loss, as the others give it.",
)


def main(argv: Sequence[str] | None = None) -> Report:
    """Run and report."""
    options = arguments(argv, __doc__, repeats=5)
    absent = _peers.missing(("diffrax",))
    settings = {"repeats": options.repeats, "dtype": "float64", **TOL, "learning rate": RATE, "absent": absent}
    report = Report("kernel-fit", "What does a fit by gradients cost inside the kernel?", settings)
    report.notes += NOTES
    count, iterations = (QUICK, QUICK_ITERATIONS) if options.quick else (RESTARTS, ITERATIONS)
    with _peers.float64_in_jax(absent):
        compare(report, count, options.repeats, absent)
    history = fit(report, count, iterations)
    finish(report, options, lambda path: draw(history, path))
    return report


if __name__ == "__main__":
    main()
