"""What several test files share: problems with known solutions, and derivatives by differences."""

import errno
import math
import os

import torch

import kutta as kt

F64 = torch.float64


def tensor(*values, dtype=F64):
    return torch.tensor(values, dtype=dtype)


def turn(t, y):
    """A rotation: the solution from (1, 0) is (cos t, -sin t)."""
    return torch.stack([y[1], -y[0]])


def turned(t):
    return torch.stack([torch.cos(t), -torch.sin(t)], dim=-1)


def van_der_pol(t, y, mu=1.0):
    return torch.stack([y[1], mu * (1 - y[0] ** 2) * y[1] - y[0]])


def swing(t, y, *args):
    """A damped pendulum with a drive: nonlinear, with time in it."""
    pull = args[0] if args else 1.0
    return torch.stack([y[1], -pull * torch.sin(y[0]) - 0.1 * y[1] + 0.3 * torch.cos(2.0 * t)])


class Decay(torch.nn.Module):
    """``dy/dt = -rate * y``, the rate a parameter."""

    def __init__(self, rate):
        super().__init__()
        self.rate = torch.nn.Parameter(tensor(rate))

    def forward(self, t, y):
        return -self.rate * y


def fixed(dt):
    return kt.Fixed(dt)


TIGHT = {"rtol": 1e-10, "atol": 1e-12}


def difference(loss, x, eps=1e-5):
    """The gradient of ``loss(x)`` by central differences of fourth order, entry by entry."""
    x = x.detach()
    flat, out = x.reshape(-1), torch.zeros_like(x).reshape(-1)
    for i in range(flat.numel()):
        move = torch.zeros_like(flat)
        move[i] = eps

        def at(scale, move=move):
            return float(loss((flat + scale * move).view(x.shape)).detach())

        out[i] = (8 * (at(1) - at(-1)) - (at(2) - at(-2))) / (12 * eps)
    return out.view(x.shape)


def difference_of_rows(loss, x, eps=1e-5):
    """As `difference` of a vector, by a loss of many at once, ``(m, n) -> (m,)``."""
    x = x.detach()
    steps = eps * torch.eye(len(x), dtype=x.dtype)
    near, far = ((loss(x + scale * steps) - loss(x - scale * steps)).detach() for scale in (1, 2))
    return (8 * near - far) / (12 * eps)


def relative_error(got, wanted):
    return float((got - wanted).norm() / wanted.norm().clamp_min(1e-300))


def gradient(loss, x):
    """The gradient of ``loss(x)`` by backpropagation."""
    x = x.detach().clone().requires_grad_()
    return torch.autograd.grad(loss(x), x)[0]


def slopes_of(errors, counts):
    """Observed orders between successive numbers of steps."""
    return [math.log(errors[i] / errors[i + 1]) / math.log(counts[i + 1] / counts[i]) for i in range(len(errors) - 1)]


def fill_disk(patch):
    """From now on nothing reaches the disk."""

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    patch.setattr(os, "fsync", full)
