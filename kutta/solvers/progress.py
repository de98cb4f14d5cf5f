"""A progress bar over the time that a solve has covered."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def progress_bar(shown: bool, t0: float, t1: float) -> Iterator[Callable[[float], None]]:
    """A function to call with the time reached; draws a tqdm bar if `shown`.

    Raises:
        ImportError: when tqdm is not installed.
    """
    if not shown:
        yield lambda t: None
        return
    try:
        from tqdm.auto import tqdm
    except ImportError as missing:
        raise ImportError('progress=True needs tqdm: pip install "kutta[progress]"') from missing
    length = abs(t1 - t0)
    layout = "{l_bar}{bar}| t = {n:.4g} of {total:.4g} [{elapsed}<{remaining}]"
    with tqdm(total=length, desc="solve", bar_format=layout) as bar:

        def reached(t: float) -> None:
            bar.update(min(abs(t - t0), length) - bar.n)

        yield reached
