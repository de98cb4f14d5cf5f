"""What is public: all samplers, schedules and grids, and every one of them has its place in the documentation."""

import importlib
import pkgutil
import re
from pathlib import Path

import pytest

import kutta as kt
import kutta.solvers.diffusion as package

PAGE = Path(__file__).parents[3] / "docs" / "api" / "diffusion.md"
LISTED = re.findall(r"^::: kutta\.(?:diffusion\.)?(\w+)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)


def kinds_of(base):
    """The public classes of the package that derive from one of its classes, whether it exports them or not."""
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        importlib.import_module(module.name)
    found, left = set(), [base]
    while left:
        left += left.pop().__subclasses__()
        found.update(one for one in left if one.__module__.startswith(package.__name__) and one.__name__[0] != "_")
    return found


@pytest.mark.parametrize("base", [kt.diffusion.Sampler, kt.diffusion.Schedule, kt.diffusion.Grid], ids=str)
def test_every_kind_is_exported(base):
    found = kinds_of(base)
    assert len(found) >= 5
    for one in found:
        assert getattr(kt.diffusion, one.__name__, None) is one and one.__name__ in kt.diffusion.__all__


def test_samplers_of_kutta_are_those_of_its_part():
    classes = {name: one for name, one in vars(kt).items() if isinstance(one, type)}
    samplers = {name for name, one in classes.items() if issubclass(one, kt.diffusion.Sampler)}
    assert {"DDIM", "HeavyBall", "SolverSchedule"} <= samplers
    for name in samplers:
        assert getattr(kt.diffusion, name) is classes[name]


def test_the_page_lists_all_that_is_public_once():
    assert set(LISTED) == {*kt.diffusion.__all__, "DiffusionProblem"}
    assert len(LISTED) == len(set(LISTED))
