"""Equations in words: equal to the library's, to arithmetic on fields, to exact solutions; anything else is refused."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import kutta as kt
from kutta.formulas.reading import FormulaError
from kutta.pde.lowering import forms
from tests.formulas._expressions import expressions, name, numbers
from tests.formulas.test_formula import torch_or_math

P = kt.pde
F64 = torch.float64
LINE, SQUARE = P.Grid(32, 2 * math.pi), P.Grid((16, 12), (2 * math.pi, 4.0))


def slope(equation, grid, u, scheme=None, t=0.3):
    """``du/dt`` at a state."""
    problem = P.PDEProblem(equation, grid, u, (0.0, 1.0), scheme)
    return forms.whole(problem).problem.derivative(torch.tensor(t, dtype=F64), u)


def noise(*shape, seed=0):
    return torch.randn(*shape, dtype=F64, generator=torch.Generator().manual_seed(seed))


def waves(grid, seed=0):
    """A smooth field."""
    a, b = noise(2, seed=seed).tolist()
    phases = [2 * math.pi * x / length for x, length in zip(grid.points(), grid.length, strict=True)]
    return a * torch.sin(phases[0] + 0.3) + b * torch.cos(2 * phases[-1]) + 0.5 * torch.sin(sum(phases))


def cahn_hilliard(ops, t, c):
    return ops.laplacian(c * c * c - c - ops.laplacian(c))


def gray_scott(ops, t, state):
    u, v = ops.split(state)
    eaten = u * v * v
    return ops.join([
        0.2 * ops.laplacian(u) - eaten + 0.04 * (1.0 - u),
        0.1 * ops.laplacian(v) + eaten - 0.1 * v,
    ])  # fmt: skip


LIBRARY = {
    "burgers": (P.Burgers(0.1), "nu*laplace(u) - d_dx(u**2/2)", LINE),
    "korteweg-de vries": (P.KortewegDeVries(), "-6*d_dx(u**2)/2 - d3_dx3(u)", LINE),
    "kuramoto-sivashinsky": (P.KuramotoSivashinsky(), "-laplace(u) - biharmonic(u) - d_dx(u*u)/2", LINE),
    "kuramoto-sivashinsky in two": (
        P.KuramotoSivashinsky(),
        "-laplace(u) - laplace(laplace(u)) - gradient_squared(u)/2",
        SQUARE,
    ),
    "kuramoto-sivashinsky by dot": (
        P.KuramotoSivashinsky(2.0),
        "-divergence(gradient(u)) - 2*laplace(laplace(u)) - 0.5*dot(gradient(u), gradient(u))",
        SQUARE,
    ),
    "heat": (P.Heat(0.3, source=lambda x, t: torch.sin(x[0]) * t), "0.3*laplace(u) + t*sin(x)", SQUARE),
    "cahn-hilliard": (cahn_hilliard, "laplace(c**3 - c - laplace(c))", SQUARE),
}
SCHEMES = {"waves": P.PseudoSpectral(), "second": P.FiniteDifference(2), "sixth": P.FiniteDifference(6)}


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("equation", LIBRARY)
def test_equations_of_the_library_in_words(equation, scheme):
    wanted, text, grid = LIBRARY[equation]
    u = waves(grid)
    first, second = (slope(one, grid, u, SCHEMES[scheme]) for one in (wanted, P.Equation(text, {"nu": 0.1})))
    assert float((first - second).abs().max()) < 1e-12 * float(first.abs().max())


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_system_in_words(scheme):
    equation = P.Equation(
        {"u": "0.2*laplace(u) - u*v**2 + F*(1 - u)", "v": "0.1*laplace(v) + u*v**2 - (F + k)*v"}, {"F": 0.04, "k": 0.06}
    )
    assert (equation.components, equation.degree) == (("u", "v"), 3)
    state = torch.stack([waves(SQUARE), waves(SQUARE, 1)])

    class Given(P.Evolution):
        components, degree = ("u", "v"), 3

        def nonlinear(self, ops, t, u):
            return gray_scott(ops, t, u)

    first, second = (slope(one, SQUARE, state, SCHEMES[scheme]) for one in (Given(), equation))
    assert float((first - second).abs().max()) < 1e-12 * float(first.abs().max())


def test_solutions_are_those_of_the_library():
    u0 = waves(LINE)
    for equation, (wanted, text, grid) in LIBRARY.items():
        if grid is LINE:
            first, second = (
                kt.solve(one.problem(LINE, u0, (0.0, 0.1)), kt.ETDRK4(), controller=kt.Fixed(0.01)).y1
                for one in (wanted, P.Equation(text, {"nu": 0.1}))
            )
            assert float((first - second).abs().max()) < 1e-11, equation


WALLS = {
    "values": (P.Dirichlet(1.0), P.Dirichlet(-0.5)),
    "slopes": (P.Neumann(0.3), P.Neumann(lambda x, t: 0.2 + t)),
    "mixed": (P.Robin(1.0, 2.0, 0.5), P.Dirichlet(0.2)),
}


@pytest.mark.parametrize("walls", WALLS)
@pytest.mark.parametrize("centring", ["cell", "node"])
def test_walls_are_those_of_the_library(walls, centring):
    grid = P.Grid(24, 1.0, centring, (WALLS[walls],))
    u = noise(24)
    for wanted, text in (
        (P.Burgers(0.1), "0.1*laplace(u) - d_dx(u**2/2)"),
        (P.KuramotoSivashinsky(), "-laplace(u) - biharmonic(u) - d_dx(u*u/2)"),
    ):
        first, second = slope(wanted, grid, u), slope(P.Equation(text), grid, u)
        assert float((first - second).abs().max()) < 1e-12 * float(first.abs().max())


def test_a_function_of_the_unknown_is_continued_with_it_beyond_walls():
    """``laplace(u**2) = 2`` of ``u = x + 1``, whose values and slopes the walls know."""
    for accuracy, walls in ((2, (P.Dirichlet(1.0), P.Neumann(1.0))), (4, (P.Robin(1.0, 1.0, 0.0), P.Dirichlet(2.0)))):
        grid = P.Grid(16, 1.0, "node", (walls,))
        u = grid.points()[0] + 1.0
        found = slope(P.Equation("laplace(u**2)"), grid, u, P.FiniteDifference(accuracy))
        inner = found[1:-1]
        assert float((inner - 2.0).abs().max()) < 1e-9


def test_components_may_have_boundary_values_of_their_own():
    walls = P.Dirichlet(torch.tensor([[1.0], [3.0]], dtype=F64).squeeze(-1))
    grid = P.Grid(8, 1.0, boundary=((walls, walls),))
    state = noise(2, 8)
    found = slope(
        P.Equation({"u": "laplace(u) + gradient_squared(v)", "v": "d_dx(u) + divergence((1 + u**2)*gradient(u))"}),
        grid,
        state,
    )
    first, second = (P.Grid(8, 1.0, boundary=P.Dirichlet(g)) for g in (1.0, 3.0))
    u, v = state
    torch.testing.assert_close(found[0], P.laplacian(u, first) + P.derivative(v, second, 0) ** 2)
    alone = slope(P.Equation("divergence((1 + u**2)*gradient(u))"), first, u)
    torch.testing.assert_close(found[1], P.derivative(u, first, 0) + alone)


REFUSED_AT_WALLS = ["d_dx(u*d_dx(u))", "laplace(x*u)", "d_dx(sin(x))", "d_dx(d2_dx2(u)*u)", "laplace(d_dx(u))"]


@pytest.mark.parametrize("text", REFUSED_AT_WALLS)
def test_what_has_no_boundary_condition_is_refused_at_walls(text):
    equation = P.Equation(f"{text} + u")
    grid = P.Grid(16, 1.0, boundary=P.Neumann())
    with pytest.raises(ValueError, match=r"nothing is known of .* at walls"):
        kt.solve(equation.problem(grid, noise(16), (0.0, 0.01)), kt.Tsit5())
    assert slope(equation, P.Grid(16, 1.0), noise(16)).shape == (16,)  # and allowed where there are none


def test_waves_between_walls_know_the_symmetry_of_everything():
    grid = P.Grid(32, math.pi, boundary=P.Neumann())
    u = torch.cos(grid.points()[0])
    found = slope(P.Equation("d_dx(u*d_dx(u))"), grid, u, P.PseudoSpectral())
    torch.testing.assert_close(found, -torch.cos(2 * grid.points()[0]))


@pytest.mark.parametrize(
    ("text", "exact"),
    [
        ("d_dx(u)", lambda x, y: torch.cos(x) * torch.cos(2 * y)),
        ("d2_dy2(u)", lambda x, y: -4 * torch.sin(x) * torch.cos(2 * y)),
        ("d3_dx3(u)", lambda x, y: -torch.cos(x) * torch.cos(2 * y)),
        ("d4_dy4(u)", lambda x, y: 16 * torch.sin(x) * torch.cos(2 * y)),
        ("d_dx(d_dy(u))", lambda x, y: -2 * torch.cos(x) * torch.sin(2 * y)),
        ("d_dx(d_dx(u))", lambda x, y: -torch.sin(x) * torch.cos(2 * y)),
        ("laplace(u)", lambda x, y: -5 * torch.sin(x) * torch.cos(2 * y)),
        ("biharmonic(u)", lambda x, y: 25 * torch.sin(x) * torch.cos(2 * y)),
        ("inverse_laplace(u)", lambda x, y: -torch.sin(x) * torch.cos(2 * y) / 5),
        (
            "gradient_squared(u)",
            lambda x, y: (torch.cos(x) * torch.cos(2 * y)) ** 2 + 4 * (torch.sin(x) * torch.sin(2 * y)) ** 2,
        ),
        (
            "dot(gradient(u), 2*gradient(u) + u*gradient(u)) - dot(u*gradient(u), gradient(u))",
            lambda x, y: 2 * (torch.cos(x) * torch.cos(2 * y)) ** 2 + 8 * (torch.sin(x) * torch.sin(2 * y)) ** 2,
        ),
        ("divergence(3*gradient(u) - gradient(2*u))", lambda x, y: -5 * torch.sin(x) * torch.cos(2 * y)),
        (
            "divergence(u*gradient(u)) - gradient_squared(u)",
            lambda x, y: -5 * (torch.sin(x) * torch.cos(2 * y)) ** 2,
        ),
        (
            "divergence(cos(x)*gradient(u)) + sin(x)*d_dx(u)",
            lambda x, y: -5 * torch.cos(x) * torch.sin(x) * torch.cos(2 * y),
        ),
        ("laplace(3 + t) + dot(gradient(1), gradient(u)) + 0*u", lambda x, y: 0.0 * x),
        ("laplace(sin(x))", lambda x, y: -torch.sin(x) + 0.0 * y),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_operators_on_waves(text, exact):
    grid = P.Grid((24, 24), 2 * math.pi)
    x, y = grid.points()
    found = slope(P.Equation({"u": text}), grid, torch.sin(x) * torch.cos(2 * y), P.PseudoSpectral())
    assert float((found - exact(x, y)).abs().max()) < 1e-11


def test_operators_along_the_third_axis():
    grid = P.Grid((4, 4, 16), 2 * math.pi)
    z = grid.points()[2]
    found = slope(P.Equation("d_dz(u) + z*0"), grid, torch.sin(z), P.PseudoSpectral())
    torch.testing.assert_close(found, torch.cos(z))


def of_operator(operator, a):
    return f"{operator[0]}({a[0]})", lambda n: (n[operator[1]](a[1](n)[0]), 1e4 * a[1](n)[1])


LINEAR = st.sampled_from([("laplace", "laplace"), ("d_dx", "first"), ("d2_dx2", "second"), ("biharmonic", "twice")])
FIELDS = st.builds(name, st.sampled_from(["u", "v", "x", "t", "k", "a"]))


@settings(deadline=None, max_examples=150)
@given(
    expressions(st.one_of(numbers, FIELDS), lambda inner: st.builds(of_operator, LINEAR, inner), leaves_at_most=8),
    st.integers(0, 10_000),
)
def test_the_two_parts_add_up_to_what_the_text_says(expression, seed):
    """On a periodic grid by differences, for which operators of fields are just that."""
    text, reference = expression
    grid, (u, v, a) = P.Grid(6, 6.0), noise(3, 6, seed=seed)
    k, t = torch.tensor(0.7, dtype=F64), torch.tensor(0.3, dtype=F64)
    equation = P.Equation({"u": text, "v": "0"}, {"k": k, "a": a})
    found = slope(equation, grid, torch.stack([u, v]), P.FiniteDifference())[0]

    def on_field(operator):
        return lambda value: operator(value if torch.is_tensor(value) and value.dim() else value + 0.0 * u)

    def laplacian(field):
        return P.laplacian(field, grid)

    x = grid.points()[0]
    names = {"u": u, "v": v, "x": x, "t": t, "k": k, "a": a}
    operators = {
        "laplace": on_field(laplacian),
        "first": on_field(lambda field: P.derivative(field, grid, 0)),
        "second": on_field(laplacian),
        "twice": on_field(lambda field: laplacian(laplacian(field))),
    }
    functions = {one: torch_or_math(one) for one in ("sin", "cos", "tanh")}
    with_scales = {one: (value, value.abs().max().item()) for one, value in names.items()}
    value, scale = reference({**with_scales, **operators, **functions})
    assert float((found - value).abs().max()) <= 1e-13 * (1 + scale)


def test_unknown_and_parameters_receive_gradients():
    grid = P.Grid(12, 1.0, boundary=(P.Dirichlet(0.5), P.Neumann(0.0)))
    u0 = waves(P.Grid(12)).requires_grad_()
    k, a = torch.tensor(0.3, dtype=F64, requires_grad=True), (1.0 + 0.1 * noise(12)).requires_grad_()

    def end(u0, k, a):
        equation = P.Equation("0.01*k*laplace(u) + a*u*(1 - u) - d_dx(u**2)/20 + k**2*sin(x)", {"k": k, "a": a})
        return kt.solve(equation.problem(grid, u0, (0.0, 0.2)), kt.RK4(), controller=kt.Fixed(0.05)).y1

    assert torch.autograd.gradcheck(end, (u0, k, a), eps=1e-6, atol=1e-8, rtol=1e-6, fast_mode=True)


@pytest.mark.parametrize("adjoint", [kt.Recompute(), kt.Backsolve()], ids=["recompute", "backsolve"])
def test_parameters_receive_gradients_under_every_adjoint(adjoint):
    k = torch.tensor(0.3, dtype=F64, requires_grad=True)
    problem = P.Equation("exp(k)*u*(1 - u)", {"k": k}).problem(P.Grid(4), 0.2 + waves(P.Grid(4)).abs(), (0.0, 0.3))
    found, wanted = (
        torch.autograd.grad(kt.solve(problem, kt.Tsit5(), rtol=1e-9, atol=1e-11, adjoint=one).y1.sum(), k)[0]
        for one in (adjoint, None)
    )
    torch.testing.assert_close(found, wanted, rtol=1e-7, atol=0.0)


def test_batches_share_an_equation():
    a = 1.0 + torch.arange(3, dtype=F64).reshape(3, 1)
    equation = P.Equation("a*laplace(u) + sin(x)", {"a": a})
    u = torch.stack([waves(LINE, seed) for seed in range(3)])
    found = slope(equation, LINE, u)
    for row in range(3):
        alone = P.Equation("a*laplace(u) + sin(x)", {"a": a[row, 0]})
        torch.testing.assert_close(found[row], slope(alone, LINE, u[row]))


def test_what_does_not_depend_on_the_unknown_has_its_shape():
    found = slope(P.Equation({"u": "sin(x)", "v": "2"}), LINE, noise(5, 2, 32))
    torch.testing.assert_close(found[:, 0], torch.sin(LINE.points()[0]).expand(5, 32))
    assert torch.equal(found[:, 1], torch.full((5, 32), 2.0, dtype=F64))


def test_a_complex_parameter_turns_a_wave():
    """``psi_t = i psi_xx / 2``: a plane wave turns at ``k^2 / 2``."""
    x = LINE.points()[0]
    problem = P.Equation("i*laplace(psi)/2", {"i": 1j}).problem(LINE, torch.exp(3j * x), (0.0, 0.5))
    sol = kt.solve(problem, kt.ETDRK4(), controller=kt.Fixed(0.25))
    torch.testing.assert_close(sol.y1, torch.exp(1j * (3 * x - 4.5 * 0.5)))


def test_single_precision_stays():
    equation = P.Equation("k*laplace(u) + exp(-x)*sin(2)*u", {"k": torch.tensor(0.1, dtype=F64)})
    assert slope(equation, LINE, noise(32).float()).dtype == torch.float32


def test_the_unknown_has_the_one_name_that_is_left():
    assert P.Equation("laplace(temperature)").components == ("temperature",)
    assert P.Equation("k*laplace(c) + x*t", {"k": 1.0}).components == ("c",)
    assert P.Equation({"u": "1"}).components == ("u",)


@pytest.mark.parametrize(
    ("text", "dimensions"),
    [("laplace(u)", (1, 2, 3)), ("d_dy(u)", (2, 3)), ("u*z", (3,)), ("d2_dz2(u) + x", (3,))],
    ids=["any", "derivative", "place", "both"],
)
def test_dimensions_are_those_of_the_axes_in_the_text(text, dimensions):
    equation = P.Equation(text)
    assert equation.dimensions == dimensions
    if 1 not in dimensions:
        with pytest.raises(ValueError, match="Equation is an equation in"):
            equation.problem(LINE, noise(32), (0.0, 1.0))


REFUSED = {
    "two unknowns": ("laplace(u) + v", {}, FormulaError, "u, v are unknown, and an equation has one"),
    "no unknown": ("laplace(k)", {"k": 1.0}, FormulaError, "there is no unknown"),
    "misspelt operator": ("laplac(u)", {}, FormulaError, r"no function laplac; did you mean laplace\?, at character 1"),
    "misspelt parameter": ({"u": "widht*u"}, {"width": 1.0}, FormulaError, "no widht; did you mean width"),
    "unknown of another": ({"u": "v"}, {}, FormulaError, "there is no v"),
    "vector alone": ("u + gradient(u)", {}, FormulaError, "is a vector, which stands in dot"),
    "vector of a scalar": ("divergence(u)", {}, FormulaError, r"expected a vector: gradient\(...\)"),
    "vector and scalar": ("divergence(gradient(u) + u)", {}, FormulaError, "expected a vector"),
    "product of vectors": ("divergence(gradient(u)*gradient(u))", {}, FormulaError, "expected a vector"),
    "function of a vector": ("sin(gradient(u))", {}, FormulaError, "is a vector"),
    "tower": ("u**9**9**9", {}, FormulaError, "an exponent may be up to 64"),
    "text and code": ("__import__('os').getcwd()", {}, FormulaError, "has no meaning in a formula"),
    "no text": (3, {}, TypeError, "text must be a text, or a dict"),
    "nothing": ({}, {}, TypeError, "text must be a text, or a dict"),
    "no text within": ({"u": 3}, {}, TypeError, "text must be a text, or a dict"),
    "unknown of a reserved name": ({"x": "1"}, {}, ValueError, "'x' cannot be a name"),
    "unknown of an operator's name": ({"laplace": "1"}, {}, ValueError, "'laplace' cannot be a name"),
    "unknown of an odd name": ({"u v": "1"}, {}, ValueError, "'u v' cannot be a name"),
    "parameter of a reserved name": ("u", {"t": 1.0}, ValueError, "'t' cannot be a name"),
    "parameter that is an unknown": ({"u": "u"}, {"u": 1.0}, ValueError, "both an unknown and a parameter"),
    "tensor that is an unknown": ({"u": "u"}, {"u": torch.ones(3)}, ValueError, "both an unknown and a parameter"),
    "parameter of text": ("k*u", {"k": "1"}, TypeError, "parameter k must be a number or a tensor"),
    "infinite parameter": ("k*u", {"k": math.inf}, ValueError, "parameter k must be finite"),
    "parameters in a list": ("k*u", [1.0], TypeError, "parameters must be a dict"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_has_no_meaning_is_refused(case):
    text, parameters, error, reason = REFUSED[case]
    with pytest.raises(error, match=reason):
        P.Equation(text, parameters)


def test_parameters_of_another_shape_are_refused():
    equation = P.Equation("a*laplace(u)", {"a": torch.ones(31, dtype=F64)})
    with pytest.raises(
        ValueError, match=r"parameter a must be a number or have the shape \(..., 32\) of the grid; got"
    ):
        equation.problem(LINE, noise(32), (0.0, 1.0))
    with pytest.raises(ValueError, match="parameter a must be finite"):
        P.Equation("a*laplace(u)", {"a": torch.full((32,), math.nan)}).problem(LINE, noise(32), (0.0, 1.0))


WORDS = ["u", "v", "x", "t", "pi", "2", "1e9", "laplace", "gradient", "dot", "divergence", "d_dx", "biharmonic", "sin"]
SIGNS = ["(", ")", "+", "-", "*", "/", "**", ",", ".", "'", "lambda"]
tokens = st.sampled_from([*WORDS, *SIGNS])


@settings(deadline=None, max_examples=300)
@given(st.one_of(st.text(max_size=40), st.lists(tokens, max_size=30).map(" ".join)))
def test_garbage_is_an_equation_or_a_formula_error(text):
    try:
        assert isinstance(P.Equation({"u": text, "v": "u"}), P.Evolution)
    except FormulaError as refused:
        assert 0 <= refused.place <= len(text)


def nested(shape, times, text="u"):
    for _ in range(times):
        text = shape.replace("@", text)
    return text


@pytest.mark.parametrize(
    "text",
    [
        nested("u*(0.5 + @)", 30),
        nested("(1 + u)*(@)", 30),
        nested("gradient_squared(u*(@))", 15),
        nested("divergence(u*gradient(@))", 15),
        nested("laplace(u**2 + @)", 30),
        nested("sin(u**2 + @)**2", 30),
        "divergence(" + "+".join(["u*gradient(u)"] * 600) + ")",
        "*".join(["(1 + u)"] * 900),
    ],
    ids=["factors", "sums", "squares", "flows", "operators", "functions", "long flow", "long product"],
)
def test_the_work_grows_no_faster_than_the_text(text):
    meaning = P.Equation(text).meaning
    assert len(meaning.rest.steps) < 3 * len(text)


@pytest.mark.slow
def test_the_compiled_engine_traces_equations():
    grid = P.Grid((12, 12), 1.0, boundary=(P.Periodic(), (P.Dirichlet(0.5), P.Neumann(0.1))))
    equation = P.Equation("k*laplace(u + u**3) - d_dx(u**2) + a*sin(x)*cos(t)*tanh(u)", {"k": 0.01, "a": noise(12, 12)})
    problem = equation.problem(grid, 0.1 * noise(12, 12), (0.0, 0.01))
    eager, compiled = (
        kt.solve(problem, kt.RK4(), controller=kt.Fixed(1e-3), engine=engine).y1 for engine in ("eager", kt.Compiled())
    )
    torch.testing.assert_close(compiled, eager, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("text", ["inverse_laplace(1)", "inverse_laplace(exp(u))", "inverse_laplace(cos(t))"])
def test_the_inverse_of_a_constant_between_walls_is_a_parabola(text):
    grid, u = P.Grid(64, boundary=P.Dirichlet(0.0)), torch.zeros(64, dtype=F64)
    x = grid.points()[0]
    found = slope(P.Equation({"u": text}), grid, u, P.FiniteDifference(), t=0.0)
    torch.testing.assert_close(found, -0.5 * x * (1 - x), rtol=0.0, atol=3e-3)
    with pytest.raises(ValueError, match="PseudoSpectral"):  # sines have no constant
        slope(P.Equation({"u": text}), grid, u, P.PseudoSpectral(), t=0.0)


@pytest.mark.parametrize("text", ["inverse_laplace(u)", "inverse_laplace(u + u**2 - u**2)", "inverse_laplace(abs(u))"])
def test_inverses_have_no_data_at_walls(text):
    grid = P.Grid(32, boundary=P.Dirichlet(1.0))
    u = torch.ones(32, dtype=F64)
    wanted = slope(P.Equation({"u": "inverse_laplace(1)"}), P.Grid(32, boundary=P.Dirichlet(0.0)), u)
    torch.testing.assert_close(slope(P.Equation({"u": text}), grid, u), wanted, rtol=0.0, atol=1e-12)


def test_the_inverse_of_a_function_of_the_place_between_walls():
    grid = P.Grid(64, boundary=P.Dirichlet(0.0))
    x = grid.points()[0]
    found = slope(P.Equation({"u": "inverse_laplace(6*x)"}), grid, torch.zeros(64, dtype=F64), P.FiniteDifference())
    torch.testing.assert_close(found, x**3 - x, rtol=0.0, atol=1e-3)


@pytest.mark.parametrize("shape", [(1,), (1, 1), (1, 1, 1)], ids=["1", "2", "3"])
def test_a_tensor_with_one_entry_is_a_number(shape):
    u = noise(*SQUARE.shape)
    found = slope(P.Equation("a*laplace(u)", {"a": torch.full(shape, 2.0, dtype=F64)}), SQUARE, u)
    torch.testing.assert_close(found, slope(P.Equation("2*laplace(u)"), SQUARE, u))


@pytest.mark.parametrize("text", ["divergence(v*gradient(t))", "divergence(v*gradient(t*k + 1))"])
def test_what_is_the_same_everywhere_has_no_gradient(text):
    equation = P.Equation({"u": f"{text} - u", "v": "0"}, {"k": 2.0})
    state = torch.stack([waves(LINE), waves(LINE, 1)])
    torch.testing.assert_close(slope(equation, LINE, state)[0], -state[0])


@pytest.mark.parametrize("value", [10**400, -(10**5000)], ids=["hundreds", "thousands"])
def test_whole_numbers_that_no_float_holds_are_refused(value):
    with pytest.raises(ValueError, match="parameter a must be finite"):
        P.Equation("a*u", {"a": value})
