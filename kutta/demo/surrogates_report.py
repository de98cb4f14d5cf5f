"""The part of the report on networks in the place of a solver."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from kutta.demo.content import Section
from kutta.demo.pictures import Picture, render
from kutta.durations import seconds
from kutta.surrogate_study import pictures as drawn
from kutta.surrogate_study import table
from kutta.surrogate_study.study import Outcome, Study


def section(study: Study) -> Section:
    """The study of surrogates."""
    samples, scope = study.settings.samples, study.parts.test.scope
    points, (low,), (high,) = scope.grid.shape, scope.lowest, scope.highest
    return Section(
        title=study.settings.title,
        text=(
            f"Water seeps through two materials: the permeability a is {high:g} in one and {low:g} in the other, and "
            f"the pressure u follows from it. {samples.training + samples.validation} problems on {points[0]} × "
            f"{points[1]} cells, solved by conjugate gradients with multigrid in {seconds(study.parts.paid)}, teach "
            "networks to go from a to u in one call.",
            "Is that worth it? Only beside a solver that is no more exact than the network: so multigrid is run with "
            "loose and tight tolerances, on the same grid and on coarser ones, and the fastest that is as exact as a "
            "network is what the network has to beat.",
            verdict(study),
            table.note(study),
        ),
        equations=("−∇·(a ∇u) = 1 on the unit square, u = 0 at its sides",),
        tables=tuple(replace(one, name=f"surrogates-{one.name}") for one in table.tables(study)),
        pictures=pictures(study),
        sources=(
            "Problem: Li et al., Fourier neural operator, ICLR 2021, arXiv 2010.08895. MgNO: He, Liu and Xu, ICLR "
            "2024, arXiv 2310.19809. DeepONet: Lu et al., Nature Machine Intelligence 3, 2021.",
        ),
    )


def verdict(study: Study) -> str:
    """What came of it, in words."""
    best = _most_exact(study)
    return (
        f"The most exact network, {best.trained.name}, is off by {table.percent(best.errors['relative L2'])} and "
        f"{_beside(best)} {_gained(max(study.outcomes, key=lambda one: one.speedup))}"
    )


def _gained(one: Outcome) -> str:
    """By how much the network with the largest speed-up is faster, if it is."""
    if one.speedup <= 1.0:
        return "On these grids no network is faster than a solver that is as exact."
    return (
        f"On these grids {one.trained.name} gains most, a factor of {one.speedup:.2g} at an error of "
        f"{table.percent(one.errors['relative L2'])}."
    )


def _beside(one: Outcome) -> str:
    """A network beside the solver that is as exact."""
    mine, theirs = seconds(one.row.seconds), seconds(one.classical.seconds)
    times = f"takes {mine} for a problem, where {one.classical.name}, takes {theirs}"
    if math.isinf(one.pays_after):
        return f"{times}: it never pays."
    return f"{times}: it pays after {table.problems(one.pays_after)} problems."


def pictures(study: Study) -> list[Picture]:
    """The pictures of the study, the fields first."""
    return [
        render(
            "surrogates_fields",
            "A problem that no network has seen",
            "The permeability, the solution, what the networks make of the permeability, and how far that is from the "
            "solution.",
            lambda theme: drawn.fields(study),
        ),
        render(
            "surrogates_costs",
            "Error against time",
            "Networks, and multigrid with loose and tight tolerances on the grid and on coarser ones. A network "
            "left of the line is faster than all of them that are as exact, and pays once that has made up for its "
            "training.",
            lambda theme: drawn.costs(study),
        ),
        render(
            "surrogates_spectra",
            "Errors by wave number",
            "The energy of the errors, and that of the solutions: which waves a network has learned.",
            lambda theme: drawn.spectra(study),
        ),
    ]


def tiles(study: Study) -> list[dict[str, str]]:
    """The headline figures."""
    best = _most_exact(study)
    return [
        {
            "value": table.percent(best.errors["relative L2"]),
            "label": f"error of a network that solves Darcy flow in one call, {best.trained.name}",
        },
        {
            "value": f"{seconds(best.row.seconds)} and {seconds(best.classical.seconds)}",
            "label": f"for a problem: {best.trained.name}, and multigrid that is as exact",
        },
    ]


def results(study: Study) -> dict[str, Any]:
    """The figures as plain numbers."""
    return table.figures(study)


def _most_exact(study: Study) -> Outcome:
    return min(study.outcomes, key=lambda one: one.errors["relative L2"])
