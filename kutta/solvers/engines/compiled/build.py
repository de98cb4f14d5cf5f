"""From a function of tensors with loops in it to native code: PyTorch's tracer and its compiler, Inductor.

The function is traced into elementary operations and handed to Inductor as it is, without a pass that would
take its writes to preallocated tensors for something to undo. With Inductor's C++ wrapper all of it, loops
included, is one call of native code.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch._guards import TracingContext, tracing
from torch._higher_order_ops.while_loop import while_loop_op
from torch._inductor import config
from torch._inductor.compile_fx import compile_fx_inner
from torch._inductor.virtualized import V
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.proxy_tensor import make_fx
from torch.fx.experimental.symbolic_shapes import ShapeEnv

from kutta.solvers.engines.compiled.layers_native import texts_of
from kutta.solvers.engines.compiled.rewrite import rules

Tensors = tuple[Tensor, ...]
OPTIONS = {
    "cpp_wrapper": True,
    # Elements for which a second thread is woken: that costs as much as working on one or two thousand.
    "cpp.min_chunk_size": 2048,
    # A product and a sum are rounded once.
    "cpp.enable_floating_point_contract_flag": "fast",
    # A loop of no rounds hands on the very memory that it was given, of which the memory planner knows nothing.
    "size_asserts": False,
    "allow_buffer_reuse": False,
    "inplace_buffers": False,
}


def native(function: Callable[..., Tensors], examples: Sequence[Tensor]) -> Callable[..., Tensors]:
    """A function of tensors of the shapes, strides and dtypes of the examples, compiled."""
    log, began = logging.getLogger("kutta"), time.perf_counter()
    log.info("compiling a loop")
    fake = FakeTensorMode(shape_env=ShapeEnv())
    with torch.no_grad():
        stand_ins = [fake.from_tensor(example.detach(), static_shapes=True) for example in examples]
        with fake:  # numbers that meet tensors become stand-ins too
            graph = make_fx(function, decomposition_table=rules())(*stand_ins)
        options = {**OPTIONS, "aot_inductor.custom_ops_to_c_shims": texts_of(graph)}
        with config.patch(options), V.set_fake_mode(fake), tracing(TracingContext(fake)):
            code: Any = compile_fx_inner(graph, stand_ins, cpp_wrapper=True, is_inference=True)
    log.info("compiled it in %.1f s", time.perf_counter() - began)

    def call(*tensors: Tensor) -> Tensors:
        return tuple(code(list(tensors)))

    return call


def repeat(
    while_: Callable[..., Tensor], body: Callable[..., Sequence[Tensor]], carried: Sequence[Tensor], given: Tensors
) -> Tensors:
    """``carried = body(*carried, *given)`` while ``while_(*carried, *given)`` is true."""

    def fresh(*tensors: Tensor) -> Tensors:
        # What a body returns must be memory of its own, in the order of what it was given.
        found = tuple(one.clone() if any(one is tensor for tensor in tensors) else one for one in body(*tensors))
        return tuple(one.contiguous() for one in found)

    carry: Any = tuple(carried)
    return while_loop_op(while_, fresh, carry, tuple(given))


def once_if(flag: Tensor, body: Callable[..., Sequence[Tensor]], carried: Sequence[Tensor], given: Tensors) -> Tensors:
    """``body(*carried, *given)`` if the flag is true, else `carried`: a loop of at most one round."""

    def round_(pending: Tensor, *others: Tensor) -> Sequence[Tensor]:
        return (torch.zeros_like(pending), *body(*others))

    return repeat(lambda pending, *_: pending.clone(), round_, (flag, *carried), given)[1:]
