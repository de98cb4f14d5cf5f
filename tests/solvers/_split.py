"""Split problems that several test files share."""

import math

import torch

import kutta as kt
from tests._helpers import F64


def periodic(n, length=2 * math.pi):
    """The points of a periodic axis, and its wave numbers."""
    x = torch.arange(n, dtype=F64) * length / n
    return x, 2 * math.pi * torch.fft.rfftfreq(n, length / n, dtype=F64)


def in_fourier(symbols, n):
    """An operator on real periodic functions of one variable."""
    return kt.algebra.Diagonal(symbols, torch.fft.rfft, lambda v: torch.fft.irfft(v, n=n))


def reacting(n=64, diffusion=1.0, t1=1.0):
    """Heat with a nonlinear reaction and a smooth drive: stiff, since the fastest mode decays as ``n^2 / 4``."""
    x, k = periodic(n)

    def f(t, u):
        return 2 * torch.sin(2 * u) + torch.cos(3 * t) * torch.sin(x)

    return kt.SplitODEProblem(in_fourier(-diffusion * k**2, n), f, torch.exp(torch.sin(x)), (0.0, t1))


def coupled(rate=0.7):
    """Five equations with a full matrix: not stiff."""
    matrix = rate * torch.randn(5, 5, dtype=F64, generator=torch.Generator().manual_seed(0))
    return kt.SplitODEProblem(matrix, lambda t, y: y.sin() * t.cos(), torch.linspace(-1, 1, 5, dtype=F64), (0.0, 1.0))


def soliton(n=512, length=60.0, speed=2.0, x0=20.0, t1=2.0):
    """``u_t + 6 u u_x + u_xxx = 0`` with a wave that only moves, and the solution at the end."""
    x, k = periodic(n, length)
    k = torch.where(k == k[-1], 0.0, k)
    mask = (k <= 2 / 3 * k.max()).to(F64) * (k > 0)

    def wave(t):
        return speed / 2 / torch.cosh(math.sqrt(speed) / 2 * (x - speed * t - x0)) ** 2

    def f(t, u):
        smooth = torch.fft.irfft((mask + (k == 0)) * torch.fft.rfft(u), n=n)
        return torch.fft.irfft(-3j * k * mask * torch.fft.rfft(smooth**2), n=n)

    return kt.SplitODEProblem(in_fourier(1j * k**3, n), f, wave(0.0), (0.0, t1)), wave(t1)


def error_at_end(problem, method, steps, exact):
    t0, t1 = problem.t_span
    y1 = kt.solve(problem, method, controller=kt.Fixed((t1 - t0) / steps)).y1
    return float((y1 - exact).abs().max())
