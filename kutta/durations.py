"""Durations in words."""

from __future__ import annotations


def seconds(value: float) -> str:
    """A duration in seconds or milliseconds.

    Example:
        >>> seconds(95.04), seconds(0.1234), seconds(0.00912)
        ('95.0 s', '123 ms', '9.12 ms')
    """
    return f"{value:.1f} s" if value >= 1.0 else f"{1e3 * value:.3g} ms"
