"""A flow-matching model of handwritten digits: a network that leads noise to the image of a wanted digit.

Its velocity ``u(x, t, c)`` is trained by flow matching (`kutta.training.FlowMatching`) on the images ``x`` of 8 x 8
pixels with their digits ``c``; sampling follows ``dx/dt = u`` from noise at ``t = 1`` to an image at ``t = 0``. The
digit is sometimes withheld in training, so that samples can be guided.

The data are the 1,797 digits of scikit-learn: E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits",
UCI Machine Learning Repository, 1998.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

import kutta as kt
from kutta.demo.classifier import CLASSES, SIDE
from kutta.files import replacing

NO_DIGIT = CLASSES
"""The label that stands for none."""

MODEL, WEIGHTS = "model.json", "weights.safetensors"
KIND = "kutta digits flow"


@dataclass(frozen=True)
class Settings:
    """Everything that the model and its training depend on, apart from the seed.

    Attributes:
        width: of the layers.
        depth: number of residual blocks.
        frequencies: number of the sines and cosines of time that the network sees.
        steps: of the training.
        batch: images a step.
        rate: largest learning rate of the one-cycle schedule.
        decay: weight decay.
        drop: share of the digits that are withheld.
        average: decay, per step, of the averaged weights, which are those of the trained model.
    """

    width: int = 192
    depth: int = 3
    frequencies: int = 16
    steps: int = 1600
    batch: int = 128
    rate: float = 2e-3
    decay: float = 1e-2
    drop: float = 0.1
    average: float = 0.995


class Velocity(nn.Module):
    """The velocity ``u(x, t, c)``: a residual network that is told time and digit before each block."""

    frequencies: Tensor

    def __init__(self, settings: Settings):
        super().__init__()
        width, depth = settings.width, settings.depth
        powers = torch.linspace(0.0, math.log(50.0), settings.frequencies)
        self.register_buffer("frequencies", 0.5 * math.pi * powers.exp())
        self.time = nn.Linear(2 * settings.frequencies, width)
        self.digit = nn.Embedding(CLASSES + 1, width)
        self.inner = nn.Linear(SIDE**2, width)
        self.told = nn.ModuleList(nn.Linear(width, width) for _ in range(depth))
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.SiLU(), nn.Linear(2 * width, width))
            for _ in range(depth)
        )
        self.outer = nn.Linear(width, SIDE**2)
        nn.init.zeros_(self.outer.weight)

    def forward(self, x: Tensor, t: Tensor, digits: Tensor) -> Tensor:
        """The velocity at states ``(B, 64)``, times ``(B,)`` and digits ``(B,)``, of which 10 stands for any."""
        angles = t[:, None] * self.frequencies
        clock = torch.cat((angles.sin(), angles.cos()), dim=1)
        condition = functional.silu(self.time(clock) + self.digit(digits))
        hidden = self.inner(x)
        for told, block in zip(self.told, self.blocks, strict=True):
            hidden = hidden + block(hidden + told(condition))
        return self.outer(hidden)


def build(settings: Settings, seed: int) -> Velocity:
    """A network with PyTorch's default initial parameters for the seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Velocity(settings)


def load_images() -> tuple[Tensor, Tensor]:
    """All images, brightness in [-1, 1], float32 of shape ``(1797, 64)``, and their digits."""
    from sklearn.datasets import load_digits

    data = load_digits()
    pixels = torch.from_numpy(data.data / 8.0 - 1.0)  # type: ignore[attr-defined]
    return pixels.float(), torch.from_numpy(data.target).long()  # type: ignore[attr-defined]


def train(settings: Settings | None = None, seed: int = 0, progress: bool | str = False) -> Velocity:
    """A model trained on all images, by Adam with decoupled weight decay and a one-cycle learning rate.

    Args:
        settings: how; by default half a minute's work of one core.
        seed: of initial weights, batches, times and noise.
        progress: whether to show a progress bar, or what to write before it.

    Returns:
        the model with averaged weights.
    """
    from kutta.training import Batches, FlowMatching, fit

    settings = settings or Settings()
    task = FlowMatching(
        build(settings, seed),
        null=NO_DIGIT,
        drop=settings.drop,
        average=settings.average,
        generator=torch.Generator().manual_seed(seed),
        optimizer=lambda parameters: torch.optim.AdamW(parameters, settings.rate, weight_decay=settings.decay),
        schedule=lambda optimizer, steps: torch.optim.lr_scheduler.OneCycleLR(
            optimizer, settings.rate, total_steps=steps
        ),
    )
    fit(task, Batches(load_images(), settings.batch, seed), settings.steps, progress=progress, accelerator="cpu")
    averaged = task.averaged
    assert isinstance(averaged, Velocity)
    return averaged.eval().requires_grad_(False)


def noise_for(count: int, seed: int = 0) -> Tensor:
    """Where samples start, ``(count, 64)``; more samples of a seed begin with the same ones."""
    generator = torch.Generator().manual_seed(seed)
    return torch.stack([torch.randn(SIDE**2, generator=generator) for _ in range(count)])


def problem(model: nn.Module, noise: Tensor, digits: Tensor, weight: float = 1.0) -> kt.DiffusionProblem:
    """The way from noise to images.

    Args:
        model: a trained `Velocity`.
        noise: standard normal, ``(B, 64)``.
        digits: what the images shall show, ``(B,)``; 10 stands for any digit.
        weight: of classifier-free guidance; with 1 there is none.
    """
    guidance = (
        None if weight == 1.0 else kt.diffusion.CFG(weight, torch.tensor([NO_DIGIT]), evaluate=kt.diffusion.one_call)
    )
    return kt.DiffusionProblem(
        model, kt.diffusion.RectifiedFlow(), noise, prediction="flow", condition=digits, guidance=guidance
    )


def save(model: Velocity, settings: Settings, folder: Path) -> None:
    """Write a model: its weights as safetensors, and last its settings as JSON."""
    from kutta.training import save_weights

    folder.mkdir(parents=True, exist_ok=True)
    save_weights(model, folder / WEIGHTS)
    with replacing(folder / MODEL) as temporary:
        temporary.write_text(json.dumps({"kind": KIND, "settings": asdict(settings)}, indent=2))


def load(folder: Path) -> Velocity:
    """Read what `save` wrote.

    Raises:
        ValueError: when the folder holds no such model, or a damaged one.
    """
    from kutta.training import load_weights

    model = build(_settings(folder), 0)
    try:
        load_weights(model, folder / WEIGHTS)
    except Exception as problem:  # safetensors has errors of its own for files that are no such files
        raise ValueError(f"{folder / WEIGHTS} must hold the weights of this model: {problem}") from problem
    return model.eval().requires_grad_(False)


def _settings(folder: Path) -> Settings:
    path = folder / MODEL
    try:
        described: Any = json.loads(path.read_text())
    except (OSError, ValueError) as problem:
        raise ValueError(f"{path} must describe a model that was saved by `kutta demo`: {problem}") from problem
    if not isinstance(described, dict) or described.get("kind") != KIND:
        raise ValueError(f'{path} must describe a model of the kind "{KIND}", as `kutta demo` saves it')
    given, known = described.get("settings"), {one.name for one in fields(Settings)}
    if not isinstance(given, dict) or set(given) != known:
        raise ValueError(f"{path} must have the settings {', '.join(sorted(known))}; got {given!r}")
    for name in ("width", "depth", "frequencies"):
        if not isinstance(given[name], int) or given[name] < 1:
            raise ValueError(f"{path} must have whole numbers above 0 for width, depth and frequencies; got {given!r}")
    return Settings(**given)
