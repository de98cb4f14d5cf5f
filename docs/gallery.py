"""The gallery: a picture of every equation, drawn while the documentation is built.

An entry is a function named after its equation, which sets up a problem and returns its solution. Its docstring is the
caption, its body the code that is shown. An equation of `kutta.pde` without an entry fails the build.
"""

from __future__ import annotations

import inspect
import io
import re
import sys
import textwrap
from collections.abc import Callable
from dataclasses import is_dataclass
from typing import Any

import torch

import kutta as kt

PAGE, MARKER, FOLDER = "gallery.md", "<!-- gallery -->", "gallery"


def heat() -> kt.Solution:
    """A warm spot between a cold wall at the left and a heated one at the right spreads; the other walls insulate."""
    walls = (kt.pde.Dirichlet(0.0), kt.pde.Dirichlet(1.0))
    grid = kt.pde.Grid((96, 64), (1.5, 1.0), boundary=(walls, kt.pde.Neumann()))
    warm = lambda x: torch.exp(-80 * ((x[0] - 0.5) ** 2 + (x[1] - 0.5) ** 2))
    problem = kt.pde.Heat(0.1).problem(grid, warm, (0.0, 1.0))
    return kt.solve(problem, kt.ROCK4(), save_at=[0.0, 0.03, 0.15, 1.0])


def burgers() -> kt.Solution:
    """A wave steepens until viscosity holds it."""
    grid = kt.pde.Grid(512, 2 * torch.pi)
    start = lambda x: torch.sin(x[0]) + 0.5 * torch.cos(2 * x[0])
    problem = kt.pde.Burgers(0.02).problem(grid, start, (0.0, 4.0))
    return kt.solve(problem, kt.ETDRK4(), controller=kt.Fixed(0.005), save_at=torch.linspace(0.0, 4.0, 161))


def korteweg_de_vries() -> kt.Solution:
    """A tall, fast soliton overtakes a small one; both go on as they were, but for a shift."""
    grid = kt.pde.Grid(256, 60.0)
    soliton = lambda x, speed, place: speed / 2 / torch.cosh(speed**0.5 / 2 * (x[0] - place)) ** 2
    start = lambda x: soliton(x, 3.0, 10.0) + soliton(x, 1.0, 24.0)
    problem = kt.pde.KortewegDeVries().problem(grid, start, (0.0, 14.0))
    return kt.solve(problem, kt.ETDRK4(), controller=kt.Fixed(0.005), save_at=torch.linspace(0.0, 14.0, 141))


def kuramoto_sivashinsky() -> kt.Solution:
    """Cells of a flame front are born and merge, and never repeat themselves."""
    grid = kt.pde.Grid(256, 100.0)
    start = lambda x: torch.cos(torch.pi * x[0] / 50) * (1 + torch.sin(torch.pi * x[0] / 50))
    problem = kt.pde.KuramotoSivashinsky().problem(grid, start, (0.0, 150.0))
    return kt.solve(problem, kt.ETDRK4(), controller=kt.Fixed(0.1), save_at=torch.linspace(0.0, 150.0, 301))


# ----------------------------------------------------------------------------------------------- what makes the page


def equations() -> dict[str, type]:
    """The public equations, by the names of their entries."""
    found = [getattr(kt.pde, name) for name in kt.pde.__all__]
    return {_entry_name(one): one for one in found if is_dataclass(one) and _is_equation(one)}


def _is_equation(one: Any) -> bool:
    return isinstance(one, type) and one.__module__.startswith("kutta.pde.equations.") and hasattr(one, "problem")


def _entry_name(equation: type) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", equation.__name__).lower()


def entries() -> dict[str, Callable[[], kt.Solution]]:
    """The functions that solve an equation.

    Raises:
        LookupError: for equations without one, with what to do.
    """
    here, wanted = vars(sys.modules[__name__]), equations()
    missing = [name for name in wanted if not callable(here.get(name))]
    if missing:
        raise LookupError(f"docs/gallery.py needs an entry for each equation; there is none named {', '.join(missing)}")
    return {name: here[name] for name in wanted}


def section(name: str) -> str:
    """What the page says of one equation."""
    equation, entry = equations()[name], entries()[name]
    words = (inspect.getdoc(sys.modules[equation.__module__]) or "").splitlines()[0]
    title, _, formula = words.rstrip(".").partition(", ``")
    title = title.removeprefix("The ")
    return "\n\n".join(
        [
            f"## {title[0].upper()}{title[1:]}",
            f"`{formula.rstrip('`')}`" if formula else "",
            inspect.getdoc(entry) or "",
            f"![{title}]({FOLDER}/{name}.png)",
            f"```python\n{code(entry)}\n```",
        ]
    )


def code(entry: Callable[[], kt.Solution]) -> str:
    """The body of an entry, as one would write it in a notebook."""
    _, _, body = inspect.getsource(entry).partition('."""\n')
    return f"{textwrap.dedent(body).strip().replace('return ', 'sol = ')}\nsol.plot()"


def picture(entry: Callable[[], kt.Solution]) -> bytes:
    """Solve, and draw."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, buffer = entry().plot(), io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    pyplot.close(figure)
    return buffer.getvalue()


def on_files(files: Any, config: Any) -> Any:
    """Add the pictures; called by MkDocs."""
    from mkdocs.exceptions import PluginError
    from mkdocs.structure.files import File

    try:
        for name, entry in entries().items():
            files.append(File.generated(config, f"{FOLDER}/{name}.png", content=picture(entry)))
    except LookupError as missing:
        raise PluginError(str(missing)) from missing
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Write the sections; called by MkDocs."""
    if page.file.src_uri != PAGE:
        return markdown
    return markdown.replace(MARKER, "\n\n".join(map(section, entries())))
