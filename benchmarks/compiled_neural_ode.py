"""A neural ODE with the compiled engine: forward, and forward and backward, against diffrax and torchdiffeq."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

import kutta as kt
from benchmarks import _neural, _peers
from benchmarks._measure import Spread, Timings, measure, ratio
from benchmarks._neural import SPAN, TOLERANCE, Field, flat, gradient, initial_state
from benchmarks._peers import Contender
from benchmarks._problems import relative_error
from benchmarks._report import Report, arguments, finish

TOL = {"rtol": TOLERANCE, "atol": TOLERANCE}
MODULES = ("torchdiffeq", "diffrax")
METHODS = ("Dopri5", "Tsit5")
BARE = 129


def weights_of(field: Field) -> Any:
    """The weights and biases as JAX arrays, to multiply from the right."""
    import jax.numpy as jnp

    layers = [layer for layer in field.layers if isinstance(layer, torch.nn.Linear)]
    numbers = [(layer.weight.detach().numpy().T, layer.bias.detach().numpy()) for layer in layers]
    return [tuple(map(jnp.array, pair)) for pair in numbers]


def with_jax(t: Any, y: Any, layers: Any) -> Any:
    """The same field."""
    import jax.numpy as jnp

    for weight, bias in layers[:-1]:
        y = jnp.tanh(y @ weight + bias)
    weight, bias = layers[-1]
    return y @ weight + bias


def forward_solvers(field: Field, y0: Tensor, absent: Sequence[str]) -> list[Contender]:
    """Solvers of the forward problem."""
    problem = kt.ODEProblem(field, y0, SPAN)
    found = [
        _peers.kutta(f"{name}, {kind}", problem, getattr(kt, name)(), engine=engine, **TOL)
        for name in METHODS
        for kind, engine in (("compiled", kt.Compiled()), ("eager", kt.Eager()))
    ]
    if "torchdiffeq" not in absent:
        found.append(_peers.torchdiffeq("dopri5", field, y0, torch.tensor(SPAN), "dopri5", **TOL))
    if "diffrax" not in absent:
        import jax.numpy as jnp

        start, layers = jnp.array(y0.numpy()), weights_of(field)
        found += [_peers.diffrax_joint(name, with_jax, layers, start, SPAN, name, **TOL) for name in METHODS]
    return found


@torch.no_grad()
def forward(report: Report, field: Field, y0: Tensor, repeats: int, absent: Sequence[str]) -> list[Contender]:
    """Time, steps, errors and overhead without gradients."""
    found = forward_solvers(field, y0, absent)
    outcomes = {one.name: one.read(one.run()) for one in found}
    timings = measure({one.name: one.run for one in found} | {"f": _bare(field, y0)}, repeats, warm_up=2)
    expected = _neural.reference(field, y0)
    columns = ("solver", "ms", "error", "steps", "evaluations", "time / (evaluations x compiled f)")
    table = report.table(f"{_title(field)}: forward, no gradient", *columns)
    for name, outcome in outcomes.items():
        alone = [seconds * (outcome.evaluations or 1) / BARE for seconds in timings["f"]]
        error = relative_error(outcome.ys[-1], expected)
        overhead = ratio(timings[name], alone) if name.startswith("kutta") else None
        table.add(name, _milliseconds(timings[name]), error, outcome.steps, outcome.evaluations, overhead)
    _ratios(report, f"{_title(field)}, forward: diffrax over kutta, paired", timings)
    report.data[f"{_title(field)}, forward seconds"] = timings
    return found


def _bare(field: Field, y0: Tensor) -> Callable[[], Tensor]:
    """The right-hand side alone, compiled as the engine compiles it, `BARE` times: steps of Euler's method."""
    problem, control = kt.ODEProblem(field, y0, (0.0, 1.0)), kt.Fixed(1.0 / (BARE - 1))
    return lambda: kt.solve(problem, kt.Euler(), controller=control, engine=kt.Compiled()).y1


def gradient_solvers(field: Field, y0: Tensor, absent: Sequence[str]) -> dict[str, Callable[[], Any]]:
    """Ways to the gradient of the mean square of the final state."""

    def with_kutta(f: Any, y: Tensor, name: str, engine: Any) -> Tensor:
        return kt.solve(kt.ODEProblem(f, y, SPAN), getattr(kt, name)(), engine=engine, **TOL).y1

    found: dict[str, Callable[[], Any]] = {
        f"kutta {name}, {kind}": partial(gradient, partial(with_kutta, name=name, engine=engine), field, y0)
        for name in METHODS
        for kind, engine in (("compiled", kt.Compiled()), ("eager", kt.Eager()))
    }
    if "torchdiffeq" not in absent:
        from torchdiffeq import odeint

        def with_torchdiffeq(f: Any, y: Tensor) -> Tensor:
            return odeint(f, y, torch.tensor(SPAN), method="dopri5", **TOL)[-1]

        found["torchdiffeq dopri5"] = partial(gradient, with_torchdiffeq, field, y0)
    if "diffrax" not in absent:
        found |= {f"diffrax {name}": _diffrax_gradient(name, field, y0) for name in METHODS}
    return found


def _diffrax_gradient(name: str, field: Field, y0: Tensor) -> Callable[[], Any]:
    import jax
    import jax.numpy as jnp

    solve = _peers.joint_solve(with_jax, SPAN, name, **TOL)
    slope = jax.jit(jax.grad(lambda y, layers: jnp.square(solve(y, layers)[0]).mean(), argnums=(0, 1)))
    start, layers = jnp.array(y0.numpy()), weights_of(field)
    return lambda: jax.block_until_ready(slope(start, layers))


def _flat_gradient(found: Any) -> np.ndarray[Any, Any]:
    """Any library's gradient in the order of `flat`."""
    if isinstance(found[1], Tensor):
        return flat(found)
    start, layers = found
    parts = [start, *(np.asarray(one).T if np.ndim(one) == 2 else one for pair in layers for one in pair)]
    return np.concatenate([np.asarray(part, np.float64).ravel() for part in parts])


def forward_and_backward(
    report: Report, field: Field, y0: Tensor, repeats: int, absent: Sequence[str], alone: Sequence[Contender]
) -> None:
    """Time and accuracy of gradients."""
    solvers = gradient_solvers(field, y0, absent)
    forwards = {f"forward of {one.name}": torch.no_grad()(one.run) for one in alone}
    timings = measure(solvers | forwards, repeats, warm_up=2)
    expected = _exact_gradient(field, y0)
    table = report.table(
        f"{_title(field)}: forward and backward", "solver", "ms", "error of the gradient", "time / forward alone"
    )
    for name, solve in solvers.items():
        error = relative_error(_flat_gradient(solve()), expected)
        table.add(name, _milliseconds(timings[name]), error, ratio(timings[name], timings[f"forward of {name}"]))
    _ratios(report, f"{_title(field)}, forward and backward: diffrax over kutta, paired", timings)
    report.data[f"{_title(field)}, gradient seconds"] = timings


def _exact_gradient(field: Field, y0: Tensor) -> np.ndarray[Any, Any]:
    """By an eighth-order method in float64 with tolerance 1e-11."""
    wide = Field(sizes=field.sizes).double()
    wide.load_state_dict(field.state_dict())

    def solve(f: Any, y: Tensor) -> Tensor:
        return kt.solve(kt.ODEProblem(f, y, SPAN), kt.Dopri8(), rtol=1e-11, atol=1e-11).y1

    return flat(gradient(solve, wide, y0.double()))


def _title(field: Field) -> str:
    return "-".join(map(str, field.sizes))


def _ratios(report: Report, title: str, timings: Timings) -> None:
    table = report.table(title, "method", "diffrax / kutta", "bar")
    for name in METHODS:
        if f"diffrax {name}" in timings:
            table.add(name, ratio(timings[f"diffrax {name}"], timings[f"kutta {name}, compiled"]), ">= 1.0")
    if not table.rows:
        table.add("diffrax is not installed", None, None)


def _milliseconds(seconds: Sequence[float]) -> Spread:
    return Spread.of([1e3 * s for s in seconds])


NOTES = (
    f"Weights: normal with standard deviation {_neural.GAIN} / sqrt(inputs), seed 0. Only the end is asked for.",
    "Errors: relative in the root mean square, of the final state against DOP853 in float64 at 1e-12, of the gradient "
    "against an eighth-order solve in float64 at 1e-11.",
    "Compiled f: a step of Euler's method with a fixed step size in the compiled engine, which is one evaluation and "
    "one sum, so that both sides of the ratio run the same code for f. The bar is 1.25.",
    "time / forward alone: gradients against the solve without them, in the same rounds; the bar is 4.",
    "Compilation, of kutta and of diffrax, is not in the times.",
)


def main(argv: Sequence[str] | None = None) -> Report:
    """Run and report."""
    options = arguments(argv, __doc__, repeats=21)
    absent = _peers.missing(MODULES)
    gain, batch = (0.5, 8) if options.quick else (_neural.GAIN, _neural.BATCH)
    settings = {"repeats": options.repeats, "dtype": "float32", **TOL, "span": SPAN, "batch": batch}
    report = Report("compiled-neural-ode", "What does a compiled neural ODE cost?", settings | {"absent": absent})
    report.notes += NOTES
    for sizes in (_neural.SIZES, _neural.WIDE):
        field, y0 = Field(gain, sizes=sizes), initial_state(batch, width=sizes[0])
        alone = forward(report, field, y0, options.repeats, absent)
        forward_and_backward(report, field, y0, options.repeats, absent, alone)
    finish(report, options)
    return report


if __name__ == "__main__":
    main()
