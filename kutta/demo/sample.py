"""What `kutta sample` does: digits from a model that `kutta demo` saved, by a method that is written as in Python."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import kutta as kt
from kutta.demo import digits_flow
from kutta.demo.classifier import CLASSES, SIDE
from kutta.demo.digits import one_thread
from kutta.files import replacing

COLUMNS, MAGNIFIED = 10, 12


def written(text: str, argument: str, kind: type | tuple[type, ...]) -> Any:
    """What an expression such as ``GHVB(3, beta=0.8)`` stands for; a name alone is called without arguments.

    It may hold samplers, methods, grids, starters, rules for final orders, numbers, strings and tuples of them. Nothing
    is evaluated as Python.

    Args:
        text: the expression.
        argument: its name, for the errors.
        kind: what it must stand for.

    Raises:
        ValueError: for anything else, or arguments that are refused.
    """
    try:
        value = _value(ast.parse(text.strip(), mode="eval").body)
    except (SyntaxError, TypeError, ValueError, RecursionError, MemoryError) as problem:  # the last two: nested deeply
        reason = problem.msg if isinstance(problem, SyntaxError) else str(problem) or type(problem).__name__
        raise ValueError(f"{argument} must be such as {_EXAMPLES[argument]}; got {text!r}: {reason}") from problem
    if not isinstance(value, kind):
        raise ValueError(f"{argument} must be such as {_EXAMPLES[argument]}; got {text!r}")
    return value


_EXAMPLES = {"--method": 'DDIM or "GHVB(3, beta=0.8)"', "--grid": 'Beta or "UniformTime(shift=3)"'}


def _value(node: ast.expr) -> Any:
    if isinstance(node, ast.Name):
        return _named(node.id)()
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        given = {one.arg: _value(one.value) for one in node.keywords if one.arg is not None}
        if len(given) < len(node.keywords):
            raise ValueError("arguments must be written out, without **")
        return _named(node.func.id)(*map(_value, node.args), **given)
    if isinstance(node, ast.Tuple):
        return tuple(map(_value, node.elts))
    try:
        return ast.literal_eval(node)
    except ValueError:
        raise ValueError(
            f"{ast.unparse(node)} is neither a name, a call of one, a number, a string nor a tuple"
        ) from None


def _named(name: str) -> Any:
    known = vocabulary()
    if name not in known:
        raise ValueError(f"there is no {name}; there are {', '.join(known)}")
    return known[name]


def vocabulary() -> Mapping[str, type]:
    """The classes that an expression may name."""
    kinds = (kt.Method, kt.diffusion.Sampler, kt.diffusion.Grid, kt.diffusion.Starter, kt.diffusion.FinalOrders)
    places = [(kt, name) for name in kt.__all__] + [(kt.diffusion, name) for name in kt.diffusion.__all__]
    found = {name: getattr(place, name) for place, name in places}
    return {
        name: found[name]
        for name in sorted(found)
        if isinstance(found[name], type) and issubclass(found[name], kinds) and found[name] not in kinds
    }


def sample(
    folder: Path,
    method: str | None = None,
    steps: int | None = None,
    grid: str | None = None,
    digit: int | None = None,
    count: int = 10,
    seed: int = 0,
    guidance: float = 1.0,
) -> tuple[kt.Solution, Tensor]:
    """Sample digits.

    Args:
        folder: where `kutta demo` saved the model.
        method: of sampling, an expression; by default what `kutta.solve` chooses.
        steps: of the sampler.
        grid: an expression.
        digit: what to draw; by default the digits from 0 to 9 in turn.
        count: of images.
        seed: of the noise.
        guidance: weight of classifier-free guidance.

    Returns:
        the solution, whose end are images ``(count, 64)`` of brightness in about [-1, 1], and their digits.

    Raises:
        ValueError, TypeError: for what does not fit, a model that is not there included.
    """
    chosen = None if method is None else written(method, "--method", (kt.diffusion.Sampler, kt.Method))
    options: dict[str, Any] = {} if steps is None else {"steps": steps}
    if grid is not None:
        options["grid"] = written(grid, "--grid", kt.diffusion.Grid)
    digits = torch.arange(count) % CLASSES if digit is None else torch.full((count,), digit)
    model = digits_flow.load(folder)
    with one_thread(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed + 1)  # of the noise on the way, if there is any
        problem = digits_flow.problem(model, digits_flow.noise_for(count, seed), digits, guidance)
        return kt.solve(problem, chosen, **options), digits


def evaluations(solution: kt.Solution) -> int:
    """How often the model was called; where samples need different numbers, the largest."""
    return int(torch.as_tensor(solution.stats.function_evaluations).max())


def write(images: Tensor, digits: Tensor, path: Path) -> None:
    """Write images as a picture (``.png``), or with their digits as tensors (``.safetensors``)."""
    with replacing(path) as temporary:
        if path.suffix == ".png":
            from matplotlib.image import imsave

            imsave(temporary, sheet(images).numpy(), cmap="gray_r", vmin=-1.0, vmax=1.0)
        else:
            from safetensors.torch import save_file

            save_file({"images": images.view(-1, SIDE, SIDE).contiguous(), "digits": digits}, temporary)


def sheet(images: Tensor) -> Tensor:
    """The images side by side, ten in a row, magnified, with a gap of a pixel around each."""
    rows = -(-len(images) // COLUMNS)
    columns = min(len(images), COLUMNS)
    cells = -torch.ones(rows * columns, SIDE + 2, SIDE + 2)
    cells[: len(images), 1:-1, 1:-1] = images.view(-1, SIDE, SIDE)
    page = cells.view(rows, columns, SIDE + 2, SIDE + 2).transpose(1, 2).reshape(rows * (SIDE + 2), -1)
    return page.repeat_interleave(MAGNIFIED, 0).repeat_interleave(MAGNIFIED, 1)
