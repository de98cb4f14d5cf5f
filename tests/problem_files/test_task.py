"""Problem files as problems: they are those that one would write in Python, or are refused."""

import math
from dataclasses import MISSING, fields

import pytest
import torch

import kutta as kt
from kutta.problem_files.record import EQUATIONS
from kutta.problem_files.section import ProblemFileError
from kutta.problem_files.task import read, task_of
from tests.problem_files._files import ORDINARY, PARTIAL, changed

P = kt.pde
F64 = torch.float64


def solved(task):
    return kt.solve(task.problem, task.method, **task.options)


def of(content, folder=None):
    return task_of(content, folder)


def test_a_partial_differential_equation(tmp_path):
    text = PARTIAL + "[solve]\nmethod = 'Tsit5'"
    (tmp_path / "small.toml").write_text(text)
    task = read(tmp_path / "small.toml")
    assert (task.title, task.source, task.components, task.space) == ("small", text, ("u",), True)
    sol = solved(task)
    grid = P.Grid(16, boundary=P.Neumann())
    x = grid.points()[0]

    def equation(ops, t, u):
        return 0.1 * ops.laplacian(u) - u + torch.sin(math.pi * x)

    problem = P.PDEProblem(equation, grid, torch.cos(math.pi * x), (0.0, 0.1))
    wanted = kt.solve(problem, kt.Tsit5(), save_at=[0.0, 0.05, 0.1])
    torch.testing.assert_close(sol.ys, wanted.ys, rtol=1e-12, atol=1e-12)


def test_ordinary_differential_equations(tmp_path):
    (tmp_path / "swing.toml").write_text(ORDINARY)
    task = read(tmp_path / "swing.toml")
    assert (task.components, task.space) == (("q", "p"), False)
    sol = solved(task)
    torch.testing.assert_close(sol.ys["q"], torch.cos(2 * sol.ts), rtol=1e-7, atol=1e-7)
    assert sol.ts.tolist() == [0.5, 1.0]


def test_an_equation_of_the_library_with_coefficients():
    content = changed(PARTIAL, "equation", {"name": "Heat", "diffusivity": 0.2, "source": "x * t"})
    assert of(content).problem.equation.diffusivity == 0.2
    equation = of(content).problem.equation
    places = of(content).problem.grid.points()
    torch.testing.assert_close(equation.source(places, 2.0), 2 * places[0])
    varying = of(changed(PARTIAL, "equation", {"name": "Heat", "diffusivity": "1 + x"})).problem
    torch.testing.assert_close(varying.equation.diffusivity, 1 + varying.grid.points()[0])


FORCED = {"name": "NavierStokesVorticity", "viscosity": 0.1, "forcing": ["sin(4*pi*y) * exp(-t)", 0]}
PLANE = {"shape": [8, 8]}


def forced(**changes):
    """A file for plane flow with a force, with other arguments."""
    content = changed(PARTIAL, "equation", FORCED | changes) | {"grid": PLANE}
    return content | {"start": {"w": 0} if "Vorticity" in content["equation"]["name"] else {"u": 0, "v": 0}}


def test_a_force_by_formulas():
    """``w_t = nu laplace(w) + curl f`` of one wave."""
    task = of(forced())
    x, y = task.problem.grid.points()
    wanted = torch.stack([torch.sin(4 * math.pi * y) * math.exp(-2.0), torch.zeros_like(x)])
    torch.testing.assert_close(task.problem.equation.forcing(torch.stack([x, y]), 2.0), wanted)
    end = task.problem.t_span[1]
    rate = 0.1 * (4 * math.pi) ** 2
    size = 4 * math.pi * (math.exp(-rate * end) - math.exp(-end)) / (rate - 1)
    sol = kt.solve(task.problem, kt.Dopri8(), rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(sol.y1, size * torch.cos(4 * math.pi * y), rtol=1e-7, atol=1e-9)


def test_a_force_at_the_faces_and_a_wind_by_formulas():
    flow = of(forced(name="NavierStokes", forcing=["1", "-x"])).problem
    assert kt.solve(flow, rtol=1e-4).y1[0].mean() == pytest.approx(flow.t_span[1], rel=1e-4)
    turning = {"name": "Advection", "velocity": ["-y", "x"]}
    wind = of(changed(PARTIAL, "equation", turning) | {"grid": PLANE}).problem
    places = wind.grid.points()
    torch.testing.assert_close(wind.equation.velocity(places, 0.0), torch.stack([-places[1], places[0]]))
    steady = of(changed(PARTIAL, "equation", turning | {"velocity": [1, 2]}) | {"grid": PLANE}).problem
    assert steady.equation.velocity == (1, 2)
    uniform = of(forced(forcing=[1, 0])).problem.equation.forcing
    assert torch.equal(uniform(places, 0.0), torch.stack([torch.ones(8, 8), torch.zeros(8, 8)]).to(F64))


BAD_FORCES = {
    "too few": (["x"], "equation.forcing: expected a formula for each of the 2 axes; got 1"),
    "one text": ("x", "equation.forcing: expected a list with a number or a formula for each axis; got 'x'"),
    "no formula": (["x +", 0], "equation.forcing: "),
    "no name": (["a", 0], "equation.forcing: there is no a"),
    "hostile": (["__import__('os')", 0], "equation.forcing: "),
    "a truth": ([True, 0], "equation.forcing: expected a number; got"),
}


@pytest.mark.parametrize("case", BAD_FORCES)
def test_forces_that_are_none(case):
    forcing, reason = BAD_FORCES[case]
    with pytest.raises(ProblemFileError, match=reason):
        of(forced(forcing=forcing))


def test_method_scheme_steps_and_dtype():
    settings = {
        "scheme": {"name": "FiniteDifference", "accuracy": 4},
        "method": "RK4",
        "step": 0.01,
        "dtype": "float32",
    }
    task = of(changed(PARTIAL, "solve", settings))
    assert task.method == kt.RK4() and task.options["controller"] == kt.Fixed(0.01)
    assert task.problem.scheme == P.FiniteDifference(4) and task.problem.u0.dtype == torch.float32
    sol = solved(task)
    assert sol.stats.steps == 10 and sol.ys.dtype == torch.float32


def test_tolerances_controller_and_engine():
    settings = {
        "rtol": 1e-3, "atol": 1e-4, "controller": {"name": "PI", "dtmax": 0.01}, "first_step": 1e-4, "max_steps": 500,
        "engine": "eager",
    }  # fmt: skip
    task = of(changed(PARTIAL, "solve", settings))
    assert (
        task.options.items() >= {"rtol": 1e-3, "atol": 1e-4, "dt0": 1e-4, "max_steps": 500, "engine": "eager"}.items()
    )
    assert task.options["controller"] == kt.PI(dtmax=0.01)
    assert solved(task).stats.accepted >= 10


@pytest.mark.parametrize(("name", "kind"), [("compiled", kt.Compiled), ("kernel", kt.Kernel)])
def test_engines_by_name(name, kind):
    assert isinstance(of(changed(PARTIAL, "solve.engine", name)).options["engine"], kind)


def test_output_times_have_a_default():
    assert len(of(changed(PARTIAL, "time.save", None)).options["save_at"]) == 51


def test_parameters_are_known_to_all_formulas():
    content = changed(PARTIAL, "start.u", "k * x")
    content["grid"]["boundary"] = {"dirichlet": "k * t"}
    problem = of(content).problem
    torch.testing.assert_close(problem.u0, 0.1 * problem.grid.points()[0])


REFUSED = {
    "title": (PARTIAL, "title", 3, "title: expected a text"),
    "title that moves the cursor": (PARTIAL, "title", "a\x1b[31m", "title: expected one line of printable letters"),
    "title with an end": (PARTIAL, "title", "a\0", "title: expected one line of printable letters"),
    "huge whole number": (PARTIAL, "time.span", [0.0, 10**400], "time.span: expected a finite number"),
    "huge parameter": (PARTIAL, "equation.parameters.k", 10**400, "equation.parameters.k: expected a finite number"),
    "number of thousands of digits": (PARTIAL, "time.span", [0, 10**5000], "time.span: .*thousands of digits"),
    "huge coefficient": (PARTIAL, "equation", {"name": "Heat", "diffusivity": 10**400}, "equation.diffusivity: expec"),
    "nan coefficient": (PARTIAL, "equation", {"name": "Heat", "diffusivity": math.nan}, "equation.diffusivity: expec"),
    "too much to save": (PARTIAL, "time.save", 2**30 // 16 + 1, "time.save: expected a whole number from 2 to 1000000"),
    "no unknown": (PARTIAL, "equation.text", "0", r"equation.text: .*in a problem file text = \{ u = ... \}"),
    "unknown table": (PARTIAL, "gird", {}, r"gird has no meaning here; did you mean grid\?"),
    "no equation": (PARTIAL, "equation", None, "expected either a table equation, or a table ode"),
    "both": (PARTIAL, "ode", {}, "expected either a table equation, or a table ode"),
    "grid of an ode": (ORDINARY, "grid", {"shape": 3}, "grid has no meaning here"),
    "scheme of an ode": (ORDINARY, "solve.scheme", "FiniteDifference", "solve.scheme has no meaning here"),
    "no grid": (PARTIAL, "grid", None, "grid is missing"),
    "no start": (PARTIAL, "start", None, "start is missing"),
    "no time": (PARTIAL, "time", None, "time is missing"),
    "no rates": (ORDINARY, "ode.rates", {}, "ode.rates: expected the rate of change of at least one unknown"),
    "equation of a text": (PARTIAL, "equation", "Heat", "equation: expected a table"),
    "misspelt equation": (PARTIAL, "equation", {"name": "Heet"}, r"equation.name: .*; did you mean Heat\?"),
    "misspelt coefficient": (
        PARTIAL,
        "equation",
        {"name": "Heat", "difusivity": 1},
        r"equation.difusivity has no meaning here; did you mean diffusivity\?",
    ),
    "coefficient of truth": (PARTIAL, "equation", {"name": "Heat", "diffusivity": True}, "equation.diffusivity: expec"),
    "coefficient formula": (
        PARTIAL,
        "equation",
        {"name": "Heat", "diffusivity": "w"},
        "equation.diffusivity: there is no w",
    ),
    "coefficient that changes in time": (
        PARTIAL,
        "equation",
        {"name": "Heat", "diffusivity": "0.1 + 0.05*t"},
        "equation: diffusivity must be a number or a tensor of values at the points; got .*a function: pass the values",
    ),
    "infinite coefficient": (
        PARTIAL,
        "equation",
        {"name": "Heat", "diffusivity": "1/(x - x)"},
        "equation.diffusivity: .* is infinite or not a number",
    ),
    "hostile text": (PARTIAL, "equation.text", "__import__('os')", "equation.text: .*has no meaning in a formula"),
    "text of a number": (PARTIAL, "equation.text", 3, "equation.text: text must be a text, or a dict"),
    "misspelt operator": (PARTIAL, "equation.text", "lapalce(u)", r"equation.text: .* did you mean laplace\?"),
    "text and name": (PARTIAL, "equation.name", "Heat", "equation.name has no meaning here"),
    "parameter of text": (PARTIAL, "equation.parameters.k", "1", "equation.parameters.k: expected a number; got '1'"),
    "dimension": (PARTIAL, "equation.text", "k*d_dy(u)", "equation: Equation is an equation in 2 or 3 dimensions"),
    "unknown of an odd name": (ORDINARY, "ode.rates.a b", "1", "ode.rates: 'a b' cannot be the name of an unknown"),
    "unknown named t": (ORDINARY, "ode.rates.t", "1", "ode.rates: 't' cannot be the name of an unknown"),
    "unknown that is a parameter": (ORDINARY, "ode.rates.k", "1", "ode.rates: 'k' cannot be the name"),
    "parameter named pi": (ORDINARY, "ode.parameters.pi", 1, "ode.parameters: 'pi' cannot be the name"),
    "rate of a number": (ORDINARY, "ode.rates.q", 1, "ode.rates.q: expected a text"),
    "misspelt name in a rate": (ORDINARY, "ode.rates.q", "p*kk", r"ode.rates.q: there is no kk; did you mean k\?"),
    "start of an ode": (ORDINARY, "start.q", True, "start.q: expected a number"),
    "span": (PARTIAL, "time.span", [0.0], "time.span: expected the first and the last time"),
    "save": (PARTIAL, "time.save", 1, "time.save: expected a whole number from 2"),
    "saved texts": (PARTIAL, "time.save", ["0"], "time.save: expected a number"),
    "method": (PARTIAL, "solve.method", "Tsit6", r"solve.method.name: expected one of .*; did you mean Tsit5\?"),
    "method of a number": (PARTIAL, "solve.method", 5, "solve.method: expected a name, or a table"),
    "scheme": (PARTIAL, "solve.scheme", "PseudoSpectrum", "solve.scheme.name: .* did you mean PseudoSpectral"),
    "negative tolerance": (PARTIAL, "solve.rtol", -1.0, "solve.rtol: expected a number above 0"),
    "tolerance of text": (PARTIAL, "solve.rtol", "small", "solve.rtol: expected a number"),
    "step of nan": (PARTIAL, "solve.step", math.nan, "solve.step: expected a finite number"),
    "dtype": (PARTIAL, "solve.dtype", "float16", "solve.dtype: expected one of float32, float64"),
    "engine": (PARTIAL, "solve.engine", "gpu", "solve.engine: expected one of auto, eager, compiled, kernel"),
    "unknown setting": (PARTIAL, "solve.tolerance", 1e-3, "solve.tolerance has no meaning here"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_problem_is_refused(case):
    text, path, value, reason = REFUSED[case]
    with pytest.raises(ProblemFileError, match=f"(?s)^{reason}"):
        of(changed(text, path, value))


def test_a_step_and_a_controller_exclude_each_other():
    with pytest.raises(ProblemFileError, match=r"solve\.step is for fixed steps, and there is a controller"):
        of(changed(PARTIAL, "solve", {"step": 0.1, "controller": "PID"}))


FILES = {
    "no file": (None, "cannot be read"),
    "no text": (b"\xff\xfe\x00", "cannot be read"),
    "no toml": (b"[equation", "is not TOML"),
    "key twice": (b"title = '1'\ntitle = '2'", "is not TOML"),
    "empty": (b"", "expected either a table equation"),
    "number of thousands of digits": (b"a = " + b"1" * 5000, "is not TOML"),
    "deep": (b"a = " + b"[" * 100_000, "is not TOML"),
    "large": (b"#" * 1_000_001, "is larger than 1000000 bytes"),
}


@pytest.mark.parametrize("case", FILES)
def test_files_that_cannot_be_read_are_refused(case, tmp_path):
    content, reason = FILES[case]
    if content is not None:
        (tmp_path / "file.toml").write_bytes(content)
    with pytest.raises(ProblemFileError, match=rf"file.toml\W.*{reason}"):
        read(tmp_path / "file.toml")


@pytest.mark.parametrize("name", sorted(EQUATIONS))
def test_every_equation_of_the_library_has_a_file(name):
    kind = EQUATIONS[name]
    needed = {one.name: 0.1 for one in fields(kind) if one.init and one.default is MISSING}
    made = kind(**needed)
    content = changed(PARTIAL, "equation", {"name": name, **needed})
    content["grid"] = {"shape": [8] * made.dimensions[0]}
    content["start"] = dict.fromkeys(made.components, "1")
    task = of(content)
    assert task.components == made.components and task.problem.u0.numel() == 8 ** made.dimensions[0] * len(
        made.components
    )


def test_water_in_two_dimensions_has_two_momenta():
    content = changed(PARTIAL, "equation", {"name": "ShallowWater", "dimension": 2})
    content |= {"grid": {"shape": [4, 4]}, "start": {"h": 1, "hu": 0, "hv": 0}}
    assert of(content).components == ("h", "hu", "hv")


def test_a_solution_that_fills_the_memory_is_refused():
    content = changed(PARTIAL, "time.save", 1_000_000)
    content["grid"]["shape"] = 2000
    with pytest.raises(ProblemFileError, match=r"time\.save: .* got 1000000 times of 2000 values"):
        of(content)
