"""Trained operators on disk: weights, and a card that says what they are."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from kutta.files import replacing
from kutta.operators.operator import Operator
from kutta.operators.scope_in_words import scope_of_words, words_of
from kutta.operators.trained_operator import TrainedOperator
from kutta.optional import needed

# The key of the card in the header of the file, and what it is written in.
CARD, FORMAT = "kutta", 1


def save(
    model: TrainedOperator,
    path: str | os.PathLike[str],
    data: Mapping[str, Any] | None = None,
    metrics: Mapping[str, float] | None = None,
) -> None:
    """Write a trained operator as safetensors, whose header holds its card; a file that is there is replaced at once.

    The card says what the network is and how it was set up, what problems it was trained for, on which data, how well
    it did, and with which versions. It is ``model.card`` of what `load` returns.

    Args:
        model: to be kept.
        path: of the file, by custom ending in ``.safetensors``.
        data: the manifest of the training data.
        metrics: what it achieved on other data.

    Raises:
        ImportError: without the extra ``training``.
        ValueError: for data at the sides of its grid that are no numbers.

    Example:
        >>> import tempfile, torch, kutta as kt
        >>> data = kt.operators.data.generate(kt.operators.data.darcy(points=16), 4, seed=0)
        >>> model = kt.operators.TrainedOperator.for_data(kt.operators.FNO(1, 1, (4, 4), width=4, layers=1), data)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     kt.operators.save(model, f"{folder}/darcy.safetensors", data.manifest, {"relative_l2": 0.02})
        ...     again = kt.operators.load(f"{folder}/darcy.safetensors")
        >>> bool((again(data.inputs, data.scope.grid) == model(data.inputs, data.scope.grid)).all())
        True
        >>> again.card["network"]["name"], again.card["metrics"], again.scope.equation
        ('FNO', {'relative_l2': 0.02}, 'Darcy')
    """
    tensors_on_disk = needed("safetensors.torch", "kutta.operators.save", "training")
    card = card_of(model, data, metrics)
    with replacing(path) as temporary:
        tensors = {name: one.contiguous() for name, one in model.state_dict().items()}
        tensors_on_disk.save_file(tensors, str(temporary), {CARD: json.dumps(card)})


def load(path: str | os.PathLike[str], network: Operator | None = None) -> TrainedOperator:
    """Read what `save` wrote.

    Args:
        path: of the file.
        network: of the same structure, where the network is none of kutta's.

    Raises:
        FileNotFoundError: where there is no file.
        ValueError: for a file without a card, and a network that is not known.
    """
    safetensors = needed("safetensors", "kutta.operators.load", "training")
    if not Path(path).is_file():
        raise FileNotFoundError(f"there is no {path}")
    try:
        with safetensors.safe_open(str(path), "pt") as file:
            written = (file.metadata() or {}).get(CARD)
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except safetensors.SafetensorError as problem:
        raise ValueError(f"{path} is no safetensors file, or it is damaged: {problem}") from problem
    if written is None:
        raise ValueError(f"{path} has no card: it was not written by kutta.operators.save")
    card = json.loads(written)
    if card.get("format") != FORMAT:
        raise ValueError(f"{path} was written by another version of kutta, {card.get('versions', {}).get('kutta')}")
    model = TrainedOperator(
        network or _network(card["network"], path), scope_of_words(card["scope"]), change=card["change"]
    )
    model.to(weights[next(name for name in weights if name.startswith("network."))].dtype)
    model.load_state_dict(weights)
    model.card = card
    return model


def card_of(
    model: TrainedOperator, data: Mapping[str, Any] | None, metrics: Mapping[str, float] | None
) -> dict[str, Any]:
    """What is to be known of a model."""
    packages = ("kutta", "torch", "numpy")
    versions = {"python": platform.python_version()} | {name: version(name) for name in packages}
    network = {
        "name": type(model.network).__name__,
        "settings": model.network.settings,
        "parameters": model.network.parameter_count,
    }
    return {
        "format": FORMAT,
        "network": network,
        "change": model.change,
        "scope": words_of(model.scope),
        "data": dict(data or {}),
        "metrics": dict(metrics or {}),
        "versions": versions,
    }


def _network(words: Mapping[str, Any], path: Any) -> Operator:
    from kutta import operators

    known = {
        name: one
        for name, one in vars(operators).items()
        if isinstance(one, type) and issubclass(one, Operator) and one is not Operator
    }
    if words["name"] not in known:
        raise ValueError(
            f"the network {words['name']!r} of {path} is none of kutta's: pass load(path, network) one of the settings "
            f"{words['settings']}"
        )
    return known[words["name"]](**words["settings"])
