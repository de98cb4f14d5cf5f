"""Derivatives of a program, as a program: forward mode, one column for each input.

    d(op(a, b)) = d(op)/da da + d(op)/db db

Columns that are zero are never written down, so that the Jacobian of a sparse system is cheap.
"""

from __future__ import annotations

from collections.abc import Sequence

from kutta.solvers.engines.tracing.operations import OPERATIONS
from kutta.solvers.engines.tracing.program import Builder, Program

Input = tuple[str, int]


def tangents(program: Program, size: int, directions: Sequence[Input]) -> Program:
    """A right-hand side together with that of its sensitivities to the initial state and to some inputs.

        d/dt S = f_y S + f_p

    Args:
        program: the derivative of `size` entries of ``"y"``.
        size: entries of the state, ``D``.
        directions: what to differentiate by, ``P`` in all: ``("y", i)`` stands for the initial state,
            others for themselves.

    Returns:
        a program for the state ``y`` of ``D + D P`` entries, ``S[i, p]`` at ``D + i P + p``.
    """
    builder = Builder()
    entries, count = [("y", place) for place in range(size)], len(directions)
    parameters = [one for one in directions if one[0] != "y"]
    values, slopes = written(builder, program, [*entries, *parameters])
    zero = builder.const(0.0)
    outputs = [values[output] for output in program.outputs]
    for output in program.outputs:
        slope = slopes[output]
        for number, direction in enumerate(directions):
            total = slope.get(direction, zero) if direction[0] != "y" else zero
            for place, entry in enumerate(entries):
                if entry in slope:
                    tangent = builder.input("y", size + place * count + number)
                    total = builder.add(total, builder.mul(slope[entry], tangent))
            outputs.append(total)
    return builder.program(outputs)


def jacobian(program: Program, inputs: Sequence[Input]) -> Program:
    """The outputs of a program and their derivatives.

    Args:
        program: ``m`` outputs.
        inputs: ``n`` names and places to differentiate by.

    Returns:
        a program of ``m + m n`` outputs: those of `program`, then the Jacobian, ``[i, j]`` at ``m + i n + j``.
    """
    builder = Builder()
    values, slopes = written(builder, program, inputs)
    zero = builder.const(0.0)
    rows = [slopes[output].get(one, zero) for output in program.outputs for one in inputs]
    return builder.program([values[output] for output in program.outputs] + rows)


def written(builder: Builder, program: Program, inputs: Sequence[Input]) -> tuple[list[int], list[dict[Input, int]]]:
    """Write a program down once more, with the derivatives of every node that are not zero."""
    values: list[int] = []
    slopes: list[dict[Input, int]] = []
    for node in program.nodes:
        if node.operation == "const":
            values.append(builder.const(node.value))
            slopes.append({})
        elif node.operation == "input":
            values.append(builder.input(*node.value))
            slopes.append({node.value: builder.const(1.0)} if node.value in inputs else {})
        else:
            arguments = [values[one] for one in node.arguments]
            values.append(builder.apply(node.operation, *arguments))
            slopes.append(_chain(builder, node.operation, values[-1], arguments, [slopes[i] for i in node.arguments]))
    return values, slopes


def _chain(
    builder: Builder, operation: str, result: int, arguments: list[int], slopes: list[dict[Input, int]]
) -> dict[Input, int]:
    """The derivatives of one operation."""
    rule = OPERATIONS[operation].partials
    if rule is None or not any(slopes):
        return {}
    total: dict[Input, int] = {}
    for partial, slope in zip(rule(builder, result, *arguments), slopes, strict=True):
        for one, inner in slope.items():
            term = builder.mul(partial, inner)
            total[one] = builder.add(total[one], term) if one in total else term
    return {one: node for one, node in total.items() if builder.value(node) != 0.0}
