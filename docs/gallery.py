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

# Where a module has another equation of the same name.
TITLES = {"NavierStokes3D": "Equations of Navier and Stokes in space"}


def advection() -> kt.Solution:
    """A disc with a slot, carried round once by a rotating wind: limited slopes keep its edges, and add no ripples."""
    grid = kt.pde.Grid((100, 100), boundary=kt.pde.Neumann(), origin=-0.5)
    x, y = grid.points()
    disc = ((x**2 + (y - 0.2) ** 2 < 0.2**2) & ((x.abs() > 0.035) | (y > 0.28))).double()
    problem = kt.pde.Advection((-y, x)).problem(grid, disc, (0.0, 2 * torch.pi))
    save_at = torch.linspace(0.0, 2 * torch.pi, 4)
    return kt.solve(problem, kt.SSPRK33(), controller=problem.cfl(0.8), save_at=save_at)


def allen_cahn() -> kt.Solution:
    """Two phases come out of noise; then the fronts between them shorten, so that small islands vanish first."""
    grid = kt.pde.Grid((160, 160))
    noise = torch.randn(160, 160, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    problem = kt.pde.AllenCahn(0.01).problem(grid, noise, (0.0, 30.0))
    return kt.solve(problem, kt.ETDRK4(), controller=kt.Fixed(0.2), save_at=[2.0, 5.0, 12.0, 30.0])


def brusselator() -> kt.Solution:
    """A chemical clock that is early on one side and late on the other makes a wave, which curls up into a spiral."""
    grid = kt.pde.Grid((128, 128), boundary=kt.pde.Neumann())
    start = lambda x: torch.stack([0.1 + 2 * x[1], 1.75 + 3 * x[0]])
    problem = kt.pde.Brusselator(diffusivity=5e-4).problem(grid, start, (0.0, 60.0), kt.pde.FiniteDifference())
    return kt.solve(problem, kt.ROCK4(), rtol=1e-4, save_at=[0.0, 10.0, 20.0, 60.0])


def burgers() -> kt.Solution:
    """A wave steepens until viscosity holds it."""
    grid = kt.pde.Grid(512, 2 * torch.pi)
    start = lambda x: torch.sin(x[0]) + 0.5 * torch.cos(2 * x[0])
    problem = kt.pde.Burgers(0.02).problem(grid, start, (0.0, 4.0))
    return kt.solve(problem, kt.ETDRK4(), controller=kt.Fixed(0.005), save_at=torch.linspace(0.0, 4.0, 161))


def cahn_hilliard() -> kt.Solution:
    """A mixture separates, within moments into fine veins, which then grow coarser, ever more slowly."""
    grid = kt.pde.Grid((128, 128), 100.0)
    noise = 0.1 * torch.randn(128, 128, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    problem = kt.pde.CahnHilliard(1.0).problem(grid, noise, (0.0, 100.0))
    return kt.solve(problem, kt.ETDRK4(), controller=kt.Fixed(0.1), save_at=[10.0, 20.0, 40.0, 100.0])


def darcy() -> kt.Solution:
    """Water is pressed from left to right through three dams, each with a gap, where it all has to pass."""
    sides = (kt.pde.Dirichlet(1.0), kt.pde.Dirichlet(0.0))
    grid = kt.pde.Grid((160, 80), (2.0, 1.0), boundary=(sides, kt.pde.Neumann()))
    x, y = grid.points()
    dam = lambda place, gap: ((x - place).abs() < 0.05) & ((y - gap).abs() > 0.08)
    permeability = torch.where(dam(0.5, 0.8) | dam(1.0, 0.25) | dam(1.5, 0.6), 1e-3, 1.0).double()
    return kt.solve(kt.pde.Darcy(permeability).problem(grid))


def diffusion_sorption() -> kt.Solution:
    """A substance seeps into clean ground, which holds back most of what comes first: so there is a front."""
    grid = kt.pde.Grid(256, boundary=(kt.pde.Dirichlet(1.0), kt.pde.Robin(1.0, 5e-4)))
    problem = kt.pde.DiffusionSorption().problem(grid, 0.0 * grid.points()[0], (0.0, 500.0))
    return kt.solve(problem, kt.RKC2(), rtol=1e-4, save_at=torch.linspace(0.0, 500.0, 101))


def equation() -> kt.Solution:
    """The equation of Swift and Hohenberg: convection rolls find their width, and then each other."""
    rolls = kt.pde.Equation("r*u - u - 2*laplace(u) - biharmonic(u) - u**3", {"r": 0.3})
    grid = kt.pde.Grid((128, 128), 24 * torch.pi)
    noise = 0.1 * torch.randn(128, 128, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    problem = rolls.problem(grid, noise, (0.0, 100.0))
    return kt.solve(problem, kt.ETDRK4(), controller=kt.Fixed(0.5), save_at=[10.0, 20.0, 40.0, 100.0])


def gray_scott() -> kt.Solution:
    """A spot of one substance, in a pool of another that feeds it, divides; so do its children, until all is full."""
    grid = kt.pde.Grid((128, 128), 1.25)
    spot = lambda x: torch.exp(-150 * ((x[0] - 0.6) ** 2 + 1.5 * (x[1] - 0.65) ** 2))
    start = lambda x: torch.stack([1 - 0.5 * spot(x), 0.25 * spot(x)])
    problem = kt.pde.GrayScott(0.03, 0.062).problem(grid, start, (0.0, 5000.0))
    return kt.solve(problem, kt.ETDRK4(), controller=kt.Fixed(4.0), save_at=[0.0, 1000.0, 2500.0, 5000.0])


def heat() -> kt.Solution:
    """A warm spot between a cold wall at the left and a heated one at the right spreads; the other walls insulate."""
    walls = (kt.pde.Dirichlet(0.0), kt.pde.Dirichlet(1.0))
    grid = kt.pde.Grid((96, 64), (1.5, 1.0), boundary=(walls, kt.pde.Neumann()))
    warm = lambda x: torch.exp(-80 * ((x[0] - 0.5) ** 2 + (x[1] - 0.5) ** 2))
    problem = kt.pde.Heat(0.1).problem(grid, warm, (0.0, 1.0))
    return kt.solve(problem, kt.ROCK4(), save_at=[0.0, 0.03, 0.15, 1.0])


def helmholtz() -> kt.Solution:
    """Waves from a small source meet a lens in which they are slower; layers along all sides let them leave."""
    grid = kt.pde.Grid((180, 120), (1.5, 1.0), boundary=kt.pde.Dirichlet())
    lens = lambda x: (x[0] - 0.75) ** 2 + (x[1] - 0.5) ** 2 < 0.18**2
    source = lambda x: 1e4 * torch.exp(-4000 * ((x[0] - 0.3) ** 2 + (x[1] - 0.5) ** 2))
    equation = kt.pde.Helmholtz(lambda x: torch.where(lens(x), 75.0, 50.0).to(x), absorbing=0.12)
    return kt.solve(equation.problem(grid, source))


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
    start = lambda x: sum(torch.cos(torch.pi * k * x[0] / 50 + k**2) for k in (1, 3, 7, 10))
    problem = kt.pde.KuramotoSivashinsky().problem(grid, start, (0.0, 150.0))
    return kt.solve(problem, kt.ETDRK4(), controller=kt.Fixed(0.1), save_at=torch.linspace(0.0, 150.0, 301))


def navier_stokes() -> kt.Solution:
    """The lid of a box moves to the right, and drags the fluid round."""
    lid = kt.pde.Dirichlet(torch.tensor([1.0, 0.0]))
    grid = kt.pde.Grid((48, 48), boundary=(kt.pde.Dirichlet(), (kt.pde.Dirichlet(), lid)))
    problem = kt.pde.NavierStokes(0.0025).problem(grid, torch.zeros(2, 48, 48), (0.0, 12.0))
    return kt.solve(problem, kt.RKC2(), rtol=1e-3, save_at=[0.5, 2.0, 5.0, 12.0])


def navier_stokes3d() -> kt.Solution:
    """The vortices of Taylor and Green, at first the same all along `z`, tilt and stretch each other."""
    grid = kt.pde.Grid((48, 48, 48), 2 * torch.pi)
    start = lambda x: torch.stack(
        [x[0].sin() * x[1].cos() * x[2].cos(), -x[0].cos() * x[1].sin() * x[2].cos(), 0 * x[2]]
    )
    problem = kt.pde.NavierStokes3D(0.02).problem(grid, start, (0.0, 4.0))
    return kt.solve(problem, kt.Tsit5(), rtol=1e-3)


def navier_stokes_vorticity() -> kt.Solution:
    """Two layers between streams that pass each other roll up into vortices."""
    grid = kt.pde.Grid((160, 160), 2 * torch.pi)
    layer = lambda y: 1 / torch.cosh(15 * y) ** 2
    ripple = lambda x: 0.05 * torch.sin(x)
    start = lambda x: 15 * (layer(x[1] - torch.pi / 2) - layer(x[1] - 3 * torch.pi / 2)) + ripple(x[0])
    problem = kt.pde.NavierStokesVorticity(5e-4).problem(grid, start, (0.0, 8.0))
    return kt.solve(problem, kt.ETDRK4(), controller=kt.Fixed(0.01), save_at=[0.0, 4.0, 6.0, 8.0])


def poisson() -> kt.Solution:
    """The potential of two positive charges and a negative one in a box of metal."""
    grid = kt.pde.Grid((150, 100), (1.5, 1.0), boundary=kt.pde.Dirichlet())
    charge = lambda x, at: torch.exp(-1500 * ((x[0] - at[0]) ** 2 + (x[1] - at[1]) ** 2))
    charges = lambda x: charge(x, (0.35, 0.3)) + charge(x, (0.55, 0.72)) - 2 * charge(x, (1.1, 0.45))
    return kt.solve(kt.pde.Poisson().problem(grid, charges))


def shallow_water() -> kt.Solution:
    """A column of water falls in a basin; the bore runs out, meets the walls, and comes back."""
    grid = kt.pde.Grid((100, 100), 10.0, boundary=kt.pde.Wall())
    depth = lambda x: torch.where((x[0] - 3.5) ** 2 + (x[1] - 4.0) ** 2 < 2.25, 2.0, 1.0).to(x)
    start = lambda x: torch.stack([depth(x), 0 * x[0], 0 * x[0]])
    problem = kt.pde.ShallowWater(1.0, dimension=2).problem(grid, start, (0.0, 9.0))
    return kt.solve(problem, kt.SSPRK33(), controller=problem.cfl(0.8), save_at=[0.0, 2.0, 5.0, 9.0])


def wave() -> kt.Solution:
    """A plane wave crosses a disc in which it is slower, and is gathered behind it."""
    grid = kt.pde.Grid((240, 120), (2.0, 1.0), boundary=(kt.pde.Neumann(), kt.pde.Periodic()))
    x, y = grid.points()
    speed = torch.where((x - 0.75) ** 2 + (y - 0.5) ** 2 < 0.25**2, 0.6, 1.0).double()
    pulse = torch.exp(-300 * (x - 0.25) ** 2)
    start = torch.stack([pulse, 600 * (x - 0.25) * pulse])  # v = -u_x: it goes to the right
    problem = kt.pde.Wave(speed).problem(grid, start, (0.0, 1.5))
    return kt.solve(problem, kt.RK4(), controller=problem.cfl(0.8), save_at=[0.0, 0.5, 1.0, 1.5])


# ----------------------------------------------------------------------------------------------- what makes the page


def equations() -> dict[str, type]:
    """The public equations, by the names of their entries."""
    found = [getattr(kt.pde, name) for name in kt.pde.__all__]
    return {_entry_name(one): one for one in found if is_dataclass(one) and _is_equation(one)}


def _is_equation(one: Any) -> bool:
    return isinstance(one, type) and one.__module__.startswith("kutta.pde.") and hasattr(one, "problem")


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
    title, formulas = heading(equation)
    return "\n\n".join(
        [
            f"## {title}",
            f"[`{equation.__name__}`](api/pde.md#kutta.pde.{equation.__name__}): {formulas}",
            inspect.getdoc(entry) or "",
            f"![{title}]({FOLDER}/{name}.png)",
            f"```python\n{code(entry)}\n```",
        ]
    )


def heading(equation: type) -> tuple[str, str]:
    """The name of an equation and its formulas, which the first line of its module says."""
    words = (inspect.getdoc(sys.modules[equation.__module__]) or "").splitlines()[0]
    title, formulas = re.fullmatch(r"(.*?)(?:, such as|[,:]) (``.*``.*?)\.?", words).groups()  # type: ignore[union-attr]
    title = TITLES.get(equation.__name__, title.removeprefix("The "))
    return f"{title[0].upper()}{title[1:]}", formulas.replace("``", "`")


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
