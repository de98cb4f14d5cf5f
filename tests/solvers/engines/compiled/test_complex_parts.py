"""Graphs with complex tensors as graphs of real ones, against the complex ones."""

import pytest
import torch
from torch import nn
from torch.fx.experimental.proxy_tensor import make_fx

import kutta as kt
from kutta.solvers.engines.compiled import transforms
from kutta.solvers.engines.compiled.complex_parts import has_complex, in_parts
from kutta.solvers.engines.compiled.transforms import parts, whole
from tests._helpers import F64

C128 = torch.complex128

FUNCTIONS = {
    "products": lambda z, w: 2j * z * w - z * 3.0 + (1 + 2j) * w.real,
    "sums with numbers": lambda z, w: 1.0 + z * (2j + w) - 3j + torch.sub(w.real, 1j, alpha=2),
    "whole numbers": lambda z, w: z + (torch.arange(4) + 0.5j) * (torch.ones(3, 1, dtype=torch.bool) + 0.25j) * w,
    "filled": lambda z, w: nn.functional.pad(z, (1, 0), value=1.0)[:, :4] + nn.functional.pad(w, (0, 2))[:, 2:],
    "quotients": lambda z, w: z / w + 1.0 / w + z / 2j + w / z.real,
    "parts": lambda z, w: z.real * w.imag + 1j * z.imag,
    "conjugates": lambda z, w: z.conj() * w + (z * w).conj(),
    "sizes": lambda z, w: z * w.abs() + z.abs() ** 2,
    "powers": lambda z, w: z**2 + w**3,
    "exponentials": lambda z, w: torch.exp(z) + torch.exp(1j * w.real),
    "pieces": lambda z, w: torch.cat([z[:, 1:], w[:, :1]], 1) + torch.stack([z[0], w[1], z[2]]),
    "a part of a whole": lambda z, w: z.slice_scatter(w[:1] + 1.0, 0, 1, 2).slice_scatter(w.real[:, :2], 1, 2, 4),
    "order": lambda z, w: z.T.reshape(3, 4) + w.flip(0).roll(1, 1) + w.unsqueeze(0).squeeze(0),
    "sums": lambda z, w: z.sum(1, keepdim=True) * w.mean() + z.sum(),
    "choices": lambda z, w: torch.where(z.real > 0, z, w),
    "no rule": lambda z, w: torch.sin(z) * torch.sqrt(w),
    "seen as real": lambda z, w: torch.view_as_complex(torch.view_as_real(z) * 2) + w,
    "broadcast": lambda z, w: z[:1] * w + 1j * w.real[:, :1] + z.real[0],
    "one axis": lambda z, w: torch.fft.fft(z) + torch.fft.ifft(w, norm="ortho"),
    "first axis": lambda z, w: torch.fft.fft(z, dim=0) + torch.fft.ifft(w.real, dim=0),
    "all axes": lambda z, w: torch.fft.fftn(z) * torch.fft.ifftn(w),
    "real": lambda z, w: torch.fft.rfft2(torch.fft.irfft2(z, s=(3, 6))) + torch.fft.rfft2(w.real.repeat(1, 2)[:, :6]),
    "real, first axis": lambda z, w: torch.fft.irfft(torch.fft.rfft(z.real, dim=0), n=3, dim=0) + w,
    "odd": lambda z, w: torch.fft.rfft(torch.fft.irfft(z, n=7)) + w,
}


def tensors():
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(3, 4, dtype=C128, generator=generator) for _ in range(2)]


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("library", [True, False], ids=["with the library", "without it"])
def test_functions_of_complex_tensors(name, library, monkeypatch):
    monkeypatch.setattr(transforms, "available", lambda: library)
    z, w = tensors()
    function = FUNCTIONS[name]
    graph = make_fx(function, tracing_mode="fake")(z, w)
    expected = function(z, w)
    assert has_complex(graph)
    for varying, other in ((2, parts(w)), (1, w)):
        found = in_parts(graph, varying)(parts(z), other)
        torch.testing.assert_close(whole(found), expected, rtol=1e-12, atol=1e-12)


def test_operations_with_a_rule_leave_no_complex_tensor():
    z, w = tensors()
    for name in set(FUNCTIONS) - {"no rule"}:
        graph = make_fx(FUNCTIONS[name], tracing_mode="fake")(z, w)
        assert not has_complex(in_parts(graph, 2)), name


def test_lengths_with_large_factors_are_left_to_pytorch():
    z = torch.randn(11, 4, dtype=C128)
    graph = make_fx(lambda z: torch.fft.fft2(z), tracing_mode="fake")(z)
    torch.testing.assert_close(whole(in_parts(graph, 1)(parts(z))), torch.fft.fft2(z))


def test_the_slope_of_a_size_at_zero_is_zero():
    """As PyTorch has it."""

    def size(z):
        return (z.abs() * torch.tensor([2.0, 3.0, 5.0], dtype=F64)).sum()

    z = torch.tensor([0.0, 1 + 1j, 2j], dtype=C128, requires_grad=True)
    (expected,) = torch.autograd.grad(size(z), z)
    graph = in_parts(make_fx(size, tracing_mode="fake")(z.detach()), 1)
    pair = parts(z.detach()).requires_grad_()
    (found,) = torch.autograd.grad(graph(pair), pair)
    torch.testing.assert_close(whole(found), expected)


OPERATIONS = {
    "real to parts": lambda x: transforms.real_to_parts(x, 2, 0.5),
    "parts to real, even": lambda x: transforms.parts_to_real(x, 2, 6, 0.5),
    "parts to real, odd": lambda x: transforms.parts_to_real(x, 1, 7, 0.5),
    "parts to parts": lambda x: transforms.parts_to_parts(x, 2, True, 0.5),
    "back": lambda x: transforms.parts_to_parts(x, 1, False, 0.5),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_gradients_of_transforms_by_differences(name):
    x = torch.randn(2, 3, 4, dtype=F64, requires_grad=True, generator=torch.Generator().manual_seed(0))
    torch.autograd.gradcheck(OPERATIONS[name], x)


def along_the_first_axis(t, u):
    return -torch.fft.irfft(1.1 * torch.fft.rfft(u, dim=0), u.shape[0], dim=0)


def of_turned_fields(t, u):
    weights = torch.linspace(0.5, 1.5, u.numel(), dtype=u.dtype).reshape(u.shape)
    return -torch.fft.irfft(torch.fft.rfft((weights.T * u.T).T), u.shape[1])


@pytest.mark.parametrize("f", [along_the_first_axis, of_turned_fields], ids=["first axis", "turned"])
def test_loops_with_transforms_in_any_order(f):
    y0 = torch.randn(16, 10, dtype=F64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    found = []
    for engine in (kt.Eager(), kt.Compiled()):
        sol = kt.solve(kt.ODEProblem(f, y0, (0.0, 1.0)), kt.RK4(), controller=kt.Fixed(0.25), engine=engine)
        assert sol.stats.engine == type(engine).__name__.lower()
        found.append((sol.y1, *torch.autograd.grad(sol.y1.square().sum(), y0)))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)
