"""The calls of torchdiffeq, solved by kutta.

To switch, change one import::

    from kutta.compat.torchdiffeq import odeint, odeint_adjoint

Names, arguments, options, warnings and error types are those of torchdiffeq's newest source. What is
different underneath:

- ``dopri8`` is DOP853, `kutta.Dopri8`, not the older 8(7) pair; it needs fewer evaluations.
- ``explicit_adams`` and ``implicit_adams`` have order four unless ``max_order`` says otherwise.
- Adaptive solves land on the last output time instead of stepping past it, and ``max_num_steps``
  bounds the trials between two output times on average.
- Methods that solve nonlinear systems (``implicit_euler``, ``radauIIA5``, ``gl6``, ...) come with the
  release for stiff problems; until then they raise `NotImplementedError`.
"""

from kutta.compat.torchdiffeq.adjoint import odeint_adjoint
from kutta.compat.torchdiffeq.fixed_grid import FixedGridODESolver
from kutta.compat.torchdiffeq.odeint import odeint, odeint_dense, odeint_event
from kutta.compat.torchdiffeq.solvers import SOLVERS

__version__ = "0.2.5"

__all__ = ["SOLVERS", "FixedGridODESolver", "odeint", "odeint_adjoint", "odeint_dense", "odeint_event"]
