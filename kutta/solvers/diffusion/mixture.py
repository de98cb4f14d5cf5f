"""The exact teacher: a Gaussian mixture, whose denoiser, score and velocity are known in closed form.

With data ``sum_k w_k N(m_k, C_k)``, the noisy state has the density ``sum_k w_k N(alpha m_k, S_k)`` with
``S_k = alpha^2 C_k + sigma^2``, and with the responsibilities ``r_k(x)`` of the components

    D(x)     = sum_k r_k (m_k + alpha C_k S_k^-1 (x - alpha m_k))
    score(x) = -sum_k r_k S_k^-1 (x - alpha m_k)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from kutta.autodiff import under_transform
from kutta.solvers.diffusion.levels.conversions import PREDICTIONS
from kutta.solvers.diffusion.levels.schedules import Schedule


class GaussianMixture:
    """A mixture of normal distributions with its exact predictions, to check samplers against.

    Predictions are computed in float64 on the device of the states, and have their dtype.

    Args:
        weights: of the ``K`` components; they are scaled to sum to 1.
        means: shape ``(K, d)``.
        variances: shape ``(K,)``; ``(K, d)`` for one an axis; ``(K, d, d)`` for covariances. They may be zero in
            some directions, where the data lie on a plane.

    Raises:
        ValueError: for numbers that do not fit; in predictions, where they lie on the host, for conditions without a
            component, and where neither data nor noise have a variance.

    Example:
        >>> import torch, kutta as kt
        >>> teacher = kt.diffusion.GaussianMixture([1.0], [[3.0, 0.0]], [0.25])
        >>> teacher.data(torch.tensor([[3.0, 0.0]]), 1.0, 0.5)
        tensor([[3., 0.]])
    """

    def __init__(self, weights: Any, means: Any, variances: Any):
        self.means = torch.as_tensor(means, dtype=torch.float64)
        self.weights, variances = (
            torch.as_tensor(one, dtype=torch.float64).to(self.means.device) for one in (weights, variances)
        )
        if self.means.dim() != 2 or self.weights.shape != self.means.shape[:1]:
            raise ValueError(
                "weights must have shape (K,) and means (K, d); "
                f"got {tuple(self.weights.shape)} and {tuple(self.means.shape)}"
            )
        count, size = self.means.shape
        if variances.shape not in ((count,), (count, size), (count, size, size)):
            raise ValueError(
                f"variances must have shape ({count},), ({count}, {size}) or ({count}, {size}, {size}); "
                f"got {tuple(variances.shape)}"
            )
        if not (bool((self.weights >= 0).all()) and 0.0 < float(self.weights.sum()) < math.inf):
            raise ValueError(f"weights must be positive numbers; got {self.weights.tolist()}")
        if variances.dim() == 3 and not torch.allclose(variances, variances.mT, rtol=1e-6, atol=1e-12):
            off = float((variances - variances.mT).abs().max())
            raise ValueError(
                f"variances of shape (K, d, d) must be covariances, which are symmetric; got matrices that differ from "
                f"their transposes by up to {off:.4g}"
            )
        least = variances if variances.dim() < 3 else torch.linalg.eigvalsh(variances)
        if not bool((least >= -1e-12 * least.abs().max()).all()):
            raise ValueError(f"variances must not be negative; the least is {float(least.min()):.4g}")
        self.weights = self.weights / self.weights.sum()
        self.axes: Tensor | None = None  # (K, d, d): principal axes of the components, in columns
        if variances.dim() == 3:
            variances, self.axes = torch.linalg.eigh(variances)
            variances = variances.clamp(min=0.0)
        self.variances = variances.reshape(count, -1).expand(count, size)
        self._flat = bool((self.variances == 0.0).any())

    @property
    def size(self) -> int:
        """The dimension ``d``."""
        return self.means.shape[1]

    def among(self, components: Sequence[int]) -> GaussianMixture:
        """The mixture of some of the components: that of a class."""
        picked = list(components)
        variances = self.variances[picked]
        if self.axes is not None:
            axes = self.axes[picked]
            variances = (axes * variances[:, None]) @ axes.mT
        return GaussianMixture(self.weights[picked], self.means[picked], variances)

    def sample(self, count: int, generator: torch.Generator | None = None) -> Tensor:
        """Data, ``(count, d)``, float64, on the device of the means."""
        # Drawn where the generator is, so that a seed means the same on every device.
        device = self.means.device if generator is None else generator.device
        which = torch.multinomial(self.weights.to(device), count, replacement=True, generator=generator)
        z = torch.randn(count, self.size, dtype=torch.float64, generator=generator, device=device)
        which, z = which.to(self.means.device), z.to(self.means.device)
        z = z * self.variances[which].sqrt()
        if self.axes is not None:
            z = (self.axes[which] @ z[..., None])[..., 0]
        return self.means[which] + z

    def log_density(self, x: Tensor, alpha: Any, sigma: Any, components: Tensor | None = None) -> Tensor:
        """``log p_t(x)`` at a noise level, ``(B,)``."""
        return torch.logsumexp(self._logits(*self._deviations(x, alpha, sigma), components), -1).to(x.dtype)

    def data(self, x: Tensor, alpha: Any, sigma: Any, components: Tensor | None = None) -> Tensor:
        """The expected data ``D(x)``.

        Args:
            x: states, ``(B, d)``.
            alpha: the factor of the data at their level, a number or a tensor ``(B,)``.
            sigma: that of the noise.
            components: which components there are, bool of shape ``(K,)`` or ``(B, K)``: the condition of a class.
        """
        deviations, variances = self._deviations(x, alpha, sigma)
        shares = torch.softmax(self._logits(deviations, variances, components), -1)
        alpha = _rows(alpha, deviations)
        pulled = alpha * self.variances.to(deviations) / variances * deviations
        return torch.einsum("bk,bkd->bd", shares, self.means.to(deviations) + self._turned_back(pulled)).to(x.dtype)

    def score(self, x: Tensor, alpha: Any, sigma: Any, components: Tensor | None = None) -> Tensor:
        """The gradient of the log density."""
        deviations, variances = self._deviations(x, alpha, sigma)
        shares = torch.softmax(self._logits(deviations, variances, components), -1)
        return -torch.einsum("bk,bkd->bd", shares, self._turned_back(deviations / variances)).to(x.dtype)

    def noise(self, x: Tensor, alpha: Any, sigma: Any, components: Tensor | None = None) -> Tensor:
        """The expected noise ``e(x) = -sigma score(x)``."""
        return -(_rows(sigma, x) * self.score(x, alpha, sigma, components)).to(x.dtype)

    def velocity(self, x: Tensor, alpha: Any, sigma: Any, components: Tensor | None = None) -> Tensor:
        """``e(x) - D(x)``: ``dx/dt`` of the straight path."""
        return self.noise(x, alpha, sigma, components) - self.data(x, alpha, sigma, components)

    def model(self, schedule: Schedule, prediction: str = "epsilon") -> Callable[..., Tensor]:
        """A model of this mixture, as a `kutta.DiffusionProblem` takes it.

        Args:
            schedule: tells the noise level of a time.
            prediction: what it returns.

        Returns:
            ``model(x, t, components=None)`` with ``x`` of shape ``(B, d)`` and ``t`` of shape ``(B,)``.
        """
        if prediction not in PREDICTIONS:
            raise ValueError(f"prediction must be one of {', '.join(PREDICTIONS)}; got {prediction!r}")

        def predict(x: Tensor, t: Tensor, components: Tensor | None = None) -> Tensor:
            alpha, sigma = (value.to(x.device) for value in (schedule.alpha(t), schedule.sigma(t)))
            if prediction == "epsilon":
                return self.noise(x, alpha, sigma, components)
            if prediction == "data":
                return self.data(x, alpha, sigma, components)
            if prediction == "score":
                return self.score(x, alpha, sigma, components)
            if prediction == "flow":
                return self.velocity(x, alpha, sigma, components)
            data, noise = self.data(x, alpha, sigma, components), self.noise(x, alpha, sigma, components)
            return (_rows(alpha, x) * noise - _rows(sigma, x) * data).to(x.dtype)

        return predict

    def _deviations(self, x: Tensor, alpha: Any, sigma: Any) -> tuple[Tensor, Tensor]:
        """``x - alpha m_k`` along the principal axes, and the variances there, in float64."""
        x = x.double()
        alpha, sigma = _columns(alpha, x), _columns(sigma, x)
        if self._flat and _is_read(sigma) and bool((sigma == 0.0).any()):
            raise ValueError(
                "sigma must be positive where variances are zero, as there is no density without noise; got 0"
            )
        deviations = x[:, None] - alpha * self.means.to(x)
        if self.axes is not None:
            deviations = torch.einsum("kde,bkd->bke", self.axes.to(x), deviations)
        return deviations, alpha**2 * self.variances.to(x) + sigma**2

    def _turned_back(self, deviations: Tensor) -> Tensor:
        if self.axes is None:
            return deviations
        return torch.einsum("kde,bke->bkd", self.axes.to(deviations), deviations)

    def _logits(self, deviations: Tensor, variances: Tensor, components: Tensor | None) -> Tensor:
        """``log(w_k N(x; alpha m_k, S_k))``, ``(B, K)``."""
        exponents = -0.5 * (deviations**2 / variances + torch.log(2.0 * math.pi * variances)).sum(-1)
        weights = self.weights.to(deviations)
        if components is not None:
            weights = weights * components.to(deviations)
            if _is_read(weights) and not bool((weights.sum(-1) > 0.0).all()):
                raise ValueError(
                    "components must name one component or more, of positive weight, for each sample; got "
                    f"{components.tolist()!s:.80}"
                )
            weights = weights / weights.sum(-1, keepdim=True)
        return exponents + torch.log(weights)


def _is_read(x: Tensor) -> bool:
    """Whether values are there to be looked at, without waiting: not while a program is written or vectorised."""
    return x.device.type == "cpu" and type(x) is Tensor and not (torch.compiler.is_compiling() or under_transform())


def _columns(number: Any, x: Tensor) -> Tensor:
    """A number a sample, to go with ``(B, K, d)``."""
    number = torch.as_tensor(number, dtype=torch.float64).to(x.device)
    return number.reshape(-1, 1, 1) if number.dim() else number


def _rows(number: Any, like: Tensor) -> Tensor:
    number = torch.as_tensor(number, dtype=torch.float64).to(like.device)
    return number.reshape(-1, *[1] * (like.dim() - 1)) if number.dim() else number
