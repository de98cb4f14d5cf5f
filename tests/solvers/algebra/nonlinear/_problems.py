"""Nonlinear problems whose solutions are known."""

import torch

from tests._helpers import F64, tensor


def bratu(x, strength=1.0):
    """``u'' + s exp(u) = 0`` on nodes between walls where ``u = 0``; any leading axes."""
    inside = torch.nn.functional.pad(x, (1, 1))
    return (inside[..., 2:] - 2.0 * x + inside[..., :-2]) * (x.shape[-1] + 1.0) ** 2 + strength * torch.exp(x)


def rosenbrock(x):
    """Its least square is zero, at one."""
    return torch.stack([10.0 * (x[1] - x[0] ** 2), 1.0 - x[0]])


def powell(x):
    """Zero at zero, where the Jacobian has lost two of its four dimensions."""
    second, fourth = 5.0**0.5 * (x[2] - x[3]), 10.0**0.5 * (x[0] - x[3]) ** 2
    return torch.stack([x[0] + 10.0 * x[1], second, (x[1] - 2.0 * x[2]) ** 2, fourth])


# Source: National Institute of Standards and Technology, Statistical Reference Datasets: Misra1a.
_VOLUME = tensor(10.07, 14.73, 17.94, 23.93, 29.61, 35.18, 40.02, 44.82, 50.76, 55.05, 61.01, 66.40, 75.47, 81.78)
_PRESSURE = tensor(77.6, 114.9, 141.1, 190.8, 239.9, 289.0, 332.8, 378.4, 434.8, 477.3, 536.8, 593.1, 689.1, 760.0)
MISRA, MISRA_SQUARES = tensor(2.3894212918e02, 5.5015643181e-04), 1.2455138894e-01


def misra(x):
    """Adsorption, ``V = a (1 - exp(-b p))``; the unknowns are five orders apart."""
    return _VOLUME - x[0] * (1.0 - torch.exp(-x[1] * _PRESSURE))


# Source: the same: MGH09, of Kowalik and Osborne, 1978.
_RATE = tensor(0.1957, 0.1947, 0.1735, 0.1600, 0.0844, 0.0627, 0.0456, 0.0342, 0.0323, 0.0235, 0.0246)
_INVERSE = tensor(4.0, 2.0, 1.0, 0.5, 0.25, 0.167, 0.125, 0.1, 0.0833, 0.0714, 0.0625)
KOWALIK = tensor(1.9280693458e-01, 1.9128232873e-01, 1.2305650693e-01, 1.3606233068e-01)
KOWALIK_SQUARES = 3.0750560385e-04


def kowalik(x):
    """The kinetics of an enzyme."""
    above = x[0] * (_INVERSE**2 + _INVERSE * x[1])
    return _RATE - above / (_INVERSE**2 + _INVERSE * x[2] + x[3])


def sines(count, points=60):
    """``sin(k pi x)`` for ``k = 1..count``, and their second derivatives, ``(points, count)`` each."""
    x = torch.linspace(0.0, 1.0, points + 2, dtype=F64)[1:-1, None]
    k = torch.pi * torch.arange(1, count + 1, dtype=F64)
    return torch.sin(k * x), -(k**2) * torch.sin(k * x)


class ReactionDiffusion:
    """``-u'' + u^3 = f`` for ``u = b w``, of combinations ``b`` of sines; with the ridge ``1e-4 w``.

    With as many functions as there are sines the solution is in their span; with fewer a large residual is left.
    """

    def __init__(self, functions, waves=8, seed=0):
        generator = torch.Generator().manual_seed(seed)
        values, curved = sines(waves)
        mix = torch.randn(waves, functions, dtype=F64, generator=generator) / torch.arange(1, waves + 1)[:, None] ** 2
        self.basis = torch.stack([values @ mix, curved @ mix])
        chosen = torch.randn(waves, dtype=F64, generator=generator) / torch.arange(1, waves + 1) ** 2
        self.solution = values @ chosen
        self.source = -(curved @ chosen) + self.solution**3
        self.start = torch.ones(functions, dtype=F64)

    def residual(self, w, basis):
        u = basis[0] @ w
        return -(basis[1] @ w) + u**3 - self.source, 1e-4 * w
