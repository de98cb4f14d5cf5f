"""Grids and their sides from files."""

import pytest
import torch

import kutta as kt
from kutta.problem_files.section import ProblemFileError, Section
from kutta.problem_files.space import Words, grid, span

P = kt.pde
F64 = torch.float64


def read(words=Words(), **values):  # noqa: B008
    return grid(Section(values, "grid"), words)


def test_a_grid_has_defaults():
    found = read(shape=8)
    assert (found.shape, found.length, found.centring) == ((8,), (1.0,), ("periodic",))


def test_all_that_a_grid_has():
    found = read(shape=[8, 6], length=[2.0, 3.0], origin=[-1.0, 0.0], centring=["node", "periodic"],
                 boundary={"x": {"left": "dirichlet", "right": {"neumann": 0.5}}, "y": "periodic"})  # fmt: skip
    assert (found.length, found.origin, found.centring) == ((2.0, 3.0), (-1.0, 0.0), ("node", "periodic"))
    (left, right), (down, up) = found.boundary
    assert isinstance(left, P.Dirichlet) and left.g == 0.0
    assert isinstance(right, P.Neumann) and right.g == 0.5
    assert isinstance(down, P.Periodic) and isinstance(up, P.Periodic)


@pytest.mark.parametrize("boundary", ["neumann", {"neumann": 2.0}, {"x": {"neumann": 2.0}, "y": {"neumann": 2.0}}],
                         ids=["plain", "with data", "by axis"])  # fmt: skip
def test_one_condition_for_several_sides(boundary):
    assert all(isinstance(one, P.Neumann) for pair in read(shape=[4, 4], boundary=boundary).boundary for one in pair)


def test_basins_have_walls():
    assert all(isinstance(one, P.Wall) for one in read(shape=8, boundary="wall").boundary[0])


def test_sides_of_a_line_need_no_axis():
    ((left, right),) = read(
        shape=4, boundary={"left": "neumann", "right": {"robin": {"a": 1, "b": 2, "g": 3}}}
    ).boundary
    assert isinstance(left, P.Neumann) and (right.a, right.b, right.g) == (1.0, 2.0, 3.0)


def test_data_by_formula_of_place_time_and_parameters():
    sides = {"left": {"dirichlet": "k * y + t"}, "right": {"robin": {"a": 1, "b": 1, "g": "y"}}}
    found = read(Words(parameters={"k": 2.0}), shape=[4, 3], boundary={"x": sides, "y": "neumann"})
    left, right = found.boundary[0]
    places = found.face(0, 0)
    torch.testing.assert_close(left.value(places, 0.5), 2 * places[1] + 0.5)
    torch.testing.assert_close(right.value(places, 0.5), places[1])


def test_a_formula_without_places_holds_on_the_whole_face():
    found = read(shape=[4, 3], boundary={"dirichlet": "sin(t)"})
    value = found.boundary[0][0].value(found.face(0, 0), torch.tensor(0.5, dtype=F64))
    torch.testing.assert_close(value, torch.sin(torch.tensor(0.5, dtype=F64)).expand(3))


def test_unknowns_may_have_data_of_their_own():
    found = read(Words(components=("u", "v")), shape=[4, 3], boundary={"dirichlet": {"u": 1.5, "v": "t*y"}})
    places = found.face(0, 1)
    value = found.boundary[0][1].value(places, 2.0)
    torch.testing.assert_close(value, torch.stack([torch.full((3,), 1.5, dtype=F64), 2 * places[1]]))


REFUSED = {
    "no shape": ({"length": 1.0}, "grid.shape is missing"),
    "shape of zero": ({"shape": 0}, "grid.shape: expected a whole number from 1"),
    "shape of text": ({"shape": "8"}, "grid.shape: expected a whole number"),
    "too many axes": ({"shape": [2, 2, 2, 2]}, "grid: shape must have one to three entries"),
    "too many points": ({"shape": [10**5, 10**5]}, "grid.shape: expected at most"),
    "length of zero": ({"shape": 8, "length": 0}, "grid.length: expected a number above 0"),
    "lengths of another number": ({"shape": 8, "length": [1.0, 2.0]}, "grid: length must be a finite number, or one"),
    "centring": ({"shape": 8, "centring": "nodes"}, r"grid.centring: expected one of .* did you mean node\?"),
    "unknown key": ({"shape": 8, "boundry": "neumann"}, r"grid.boundry has no meaning here; did you mean boundary\?"),
    "unknown condition": ({"shape": 8, "boundary": "noiman"}, "grid.boundary: expected one of periodic, dirichlet"),
    "condition of a number": ({"shape": 8, "boundary": 3}, r"grid.boundary: expected periodic, dirichlet, .*; got 3"),
    "two conditions": ({"shape": 8, "boundary": {"dirichlet": 1, "neumann": 2}}, "grid.boundary: expected periodic"),
    "misspelt kind": (
        {"shape": 8, "boundary": {"dirichelt": 1}},
        r"boundary.dirichelt has no meaning .* dirichlet",
    ),
    "one side": ({"shape": 8, "boundary": {"left": "neumann"}}, "grid.boundary.right is missing"),
    "an axis too many": ({"shape": 8, "boundary": {"x": "neumann", "y": "neumann"}}, "grid.boundary.y has no meaning"),
    "an axis too few": ({"shape": [8, 8], "boundary": {"x": "neumann"}}, "grid.boundary.y is missing"),
    "half periodic": (
        {"shape": 8, "boundary": {"left": "periodic", "right": "neumann"}},
        r"grid: boundary\[0\] must be Periodic\(\) at both sides",
    ),
    "robin without a slope": ({"shape": 8, "boundary": {"robin": {"a": 1, "b": 0}}}, "grid.boundary: b must not be"),
    "robin of a number": ({"shape": 8, "boundary": {"robin": 3}}, "grid.boundary.robin: expected a table"),
    "data of truth": ({"shape": 8, "boundary": {"dirichlet": True}}, "expected a number; got True"),
    "data of a list": ({"shape": 8, "boundary": {"dirichlet": [1]}}, r"expected a number; got \[1\]"),
    "formula": ({"shape": 8, "boundary": {"dirichlet": "z"}}, "grid.boundary.dirichlet: there is no z"),
    "hostile formula": ({"shape": 8, "boundary": {"dirichlet": "x.__class__"}}, "'.' has no meaning in a formula"),
    "data of another unknown": (
        {"shape": 8, "boundary": {"dirichlet": {"u": 1, "w": 1}}},
        "dirichlet.w has no meaning",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_grid_is_refused(case):
    values, reason = REFUSED[case]
    with pytest.raises(ProblemFileError, match=reason):
        read(**values)


@pytest.mark.parametrize("ends", [[0.0], [1.0, 1.0], [0, 1, 2], "1"], ids=["one", "equal", "three", "text"])
def test_a_span_has_two_ends(ends):
    with pytest.raises(ProblemFileError, match=r"time\.span: expected"):
        span(Section({"span": ends}, "time"))
