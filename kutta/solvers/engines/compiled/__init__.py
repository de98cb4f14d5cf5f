"""The compiled engine; its modules import PyTorch's compiler, a second's work, and are imported when used."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Compiled:
    """The engine that compiles the loop with the right-hand side in it, for a problem with one step size.

    For explicit Runge-Kutta methods, for exponential ones and for samplers, on the CPU. PyTorch reads `f` once and
    compiles it together with the method, the control of the step size and the outputs into one function (TorchDynamo
    and Inductor, which need a C++ compiler; about 10 seconds, and as long again for the gradient). It serves every
    later solve with the same `f`, shapes and method: values of tensors (states, arguments, weights), times and
    tolerances may change freely. A Python number in `f` is part of what is compiled, and a new one is compiled anew.
    What `f` does to Python objects, such as counting its calls, happens once a solve.

    Gradients are those of `Direct`: the accepted steps are written down, and a second compiled loop goes
    through them backwards and takes each once more.

    Exponential methods are compiled where the linear part is diagonal in a transform (`kutta.algebra.Diagonal`), for
    steps of one size; there are no gradients with respect to that part. States may be complex, with steps of one size.
    A pseudo-spectral equation is fastest with the coefficients as its state, ``Diagonal(symbols)`` without a
    transform, and a remainder that goes to the grid and back: Fourier transforms are called from native code, where
    PyTorch brings Intel's library. Write derivatives as ``1j * k * v`` with a real `k`, which costs half of a product
    with a complex tensor.

    The samplers of a `DiffusionProblem` are compiled likewise, without gradients. What they do is a table of
    numbers that the loop reads, so that one serves most samplers and any grid. The model is always called with
    its guidance: outside the interval of `kutta.diffusion.CFG` too. It is told the time as a tensor of the dtype of
    the state; one that makes a Python number of it, ``float(t[0])``, loses digits.

    Where PyTorch cannot compile `f`, the solve runs in the eager engine, with a warning that says why;
    ``sol.stats.engine`` tells what ran.

    Example:
        >>> import torch, kutta as kt
        >>> problem = kt.ODEProblem(lambda t, y: -y, torch.ones(1000), (0.0, 1.0))
        >>> kt.solve(problem, kt.Tsit5(), engine=kt.Compiled()).stats.engine
        'compiled'
    """
