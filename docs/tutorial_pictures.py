"""The pictures of tutorials: the code of their pages, run with larger sizes than those that are tested.

    python docs/tutorial_pictures.py

writes them beside the pages. The code saves them by the names that the pages show.
"""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

import torch

GUIDE = Path(__file__).parent / "guide"
FENCE = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)

# Of each page: the small sizes, and those of its pictures, which its text names.
SIZES = {"hard-constraints-tutorial.md": ("points, times, steps = 16, 8, 2", "points, times, steps = 64, 16, 150")}


def blocks(page: Path) -> list[tuple[int, str]]:
    """The samples of a page, each with the number of the line it starts on."""
    text = page.read_text(encoding="utf-8")
    return [(text.count("\n", 0, match.start(1)) + 1, match.group(1)) for match in FENCE.finditer(text)]


def enlarged(page: Path) -> str:
    """All samples of a page as one program, with the sizes of its pictures."""
    program = "\n".join(source for _, source in blocks(page))
    small, large = SIZES[page.name]
    if program.count(small) != 1:
        raise LookupError(f"{page.name} must say {small!r} once in its samples, which is replaced by {large!r}")
    return program.replace(small, large)


def main() -> None:
    """Run all pages of which there are pictures."""
    import matplotlib

    matplotlib.use("Agg")
    torch.set_num_threads(1)
    with contextlib.chdir(GUIDE):
        for name in SIZES:
            exec(compile(enlarged(GUIDE / name), name, "exec"), {"__name__": "__main__"})


if __name__ == "__main__":
    main()
