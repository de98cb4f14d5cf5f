"""Weights on disk, as safetensors."""

from __future__ import annotations

import os

from torch import nn

from kutta.files import replacing


def save_weights(model: nn.Module, path: str | os.PathLike[str]) -> None:
    """Write the parameters and buffers of a model; a file that is there is replaced at once or not at all.

    Args:
        model: any module.
        path: of the file, by custom ending in ``.safetensors``.

    Example:
        >>> import tempfile, torch
        >>> from kutta.training import load_weights, save_weights
        >>> layer, other = torch.nn.Linear(2, 3), torch.nn.Linear(2, 3)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_weights(layer, f"{folder}/layer.safetensors")
        ...     load_weights(other, f"{folder}/layer.safetensors")
        >>> bool((layer.weight == other.weight).all())
        True
    """
    from safetensors.torch import save_model

    with replacing(path) as temporary:
        save_model(model, str(temporary))


def load_weights(model: nn.Module, path: str | os.PathLike[str]) -> None:
    """Read what `save_weights` wrote into a model of the same structure; see there for an example.

    Args:
        model: whose weights are replaced.
        path: of the file.

    Raises:
        RuntimeError: when names or shapes do not match.
    """
    from safetensors.torch import load_model

    load_model(model, str(path))
