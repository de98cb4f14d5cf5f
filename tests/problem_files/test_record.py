"""Objects of the library by name and arguments."""

import pytest
import torch

import kutta as kt
from kutta.problem_files.record import CONTROLLERS, EQUATIONS, METHODS, SCHEMES, record
from kutta.problem_files.section import ProblemFileError


def test_by_name_alone_or_with_arguments():
    assert record("Tsit5", METHODS, "m") == kt.Tsit5()
    assert record({"name": "FiniteDifference", "accuracy": 4}, SCHEMES, "s") == kt.pde.FiniteDifference(4)
    assert record({"name": "PID", "integral": 0.5, "dtmax": 1}, CONTROLLERS, "c") == kt.PID(integral=0.5, dtmax=1)
    assert record({"name": "StepTo", "ts": [0, 1.5, 2]}, CONTROLLERS, "c") == kt.StepTo((0, 1.5, 2))


def test_parts_of_schemes_by_name():
    found = record({"name": "FiniteVolume", "reconstruction": "WENO5", "flux": "Rusanov"}, SCHEMES, "s")
    assert (type(found.reconstruction), type(found.flux)) == (kt.pde.WENO5, kt.pde.Rusanov)


def test_all_equations_schemes_and_methods_are_known():
    assert {"Heat", "Burgers", "KortewegDeVries", "KuramotoSivashinsky"} <= set(EQUATIONS)
    assert {"FiniteDifference", "PseudoSpectral"} <= set(SCHEMES)
    assert {"Tsit5", "ETDRK4", "Rodas5P", "ARS443"} <= set(METHODS)
    assert not {"Evolution", "Equation", "Scheme", "Method"} & {*EQUATIONS, *SCHEMES, *METHODS}


def test_texts_are_read_where_an_argument_may_be_anything():
    field = torch.ones(3)
    found = record({"name": "Heat", "diffusivity": "1 + x"}, EQUATIONS, "e", lambda text: field)
    assert found.diffusivity is field


REFUSED = {
    "number": (3, SCHEMES, "s: expected a name, or a table with a name and arguments; got 3"),
    "no name": ({"accuracy": 4}, SCHEMES, "s.accuracy has no meaning here; did you|s.*accuracy has no meaning|s.name"),
    "misspelt name": ("FiniteDiference", SCHEMES, r"s.name: expected one of .*; did you mean FiniteDifference\?"),
    "hostile name": ("__import__('os')", SCHEMES, "s.name: expected one of"),
    "misspelt argument": (
        {"name": "FiniteDifference", "acuracy": 4},
        SCHEMES,
        r"s.acuracy has no meaning here; did you mean accuracy\?",
    ),
    "refused value": ({"name": "FiniteDifference", "accuracy": 3}, SCHEMES, "s: accuracy must be 2, 4 or 6; got 3"),
    "text for a number": (
        {"name": "FiniteDifference", "accuracy": "4"},
        SCHEMES,
        "s.accuracy: expected a whole number; got '4'",
    ),
    "truth for a number": (
        {"name": "FiniteDifference", "accuracy": True},
        SCHEMES,
        "s.accuracy: expected a whole number; got",
    ),
    "number for a function": (
        {"name": "PID", "norm": 3},
        CONTROLLERS,
        "s.norm cannot be given in a file, only in Python",
    ),
    "text in a list": ({"name": "StepTo", "ts": [0, "1"]}, CONTROLLERS, "s.ts: expected a list of numbers; got '1'"),
    "missing argument": ("RungeKutta", METHODS, "s.tableau is missing"),
    "text for a part": ({"name": "FiniteVolume", "reconstruction": "WENO7"}, SCHEMES, "s.reconstruction.name: expect"),
    "formula for a force": (
        {"name": "NavierStokesVorticity", "viscosity": 1, "forcing": "x"},
        EQUATIONS,
        "s.forcing cannot be given in a file, only in Python",
    ),
    "text without a reader": (
        {"name": "Heat", "diffusivity": "x"},
        EQUATIONS,
        "s.diffusivity: expected a number or .*; got 'x'",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_is_refused(case):
    value, known, reason = REFUSED[case]
    with pytest.raises(ProblemFileError, match=reason):
        record(value, known, "s")
