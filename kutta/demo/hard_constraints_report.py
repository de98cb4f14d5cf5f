"""The part of the report on networks that know an equation."""

from __future__ import annotations

from typing import Any

from kutta.demo import hard_constraints, hard_constraints_pictures
from kutta.demo.content import Section
from kutta.durations import seconds
from kutta.surrogate_study.table import percent
from kutta.text_table import TextTable


def section(study: hard_constraints.Study) -> Section:
    """The study of hard constraints."""
    settings = study.settings
    return Section(
        title="Diffusion and sorption: networks that know the equation",
        text=(
            "A dissolved substance enters ground that holds it back. The networks are told the equation and no "
            f"solution: each of {settings.steps} steps of training draws {settings.batch} new problems, initial "
            "states and coefficients, and makes small what the predictions miss the equation by.",
            "SoftConstraint predicts u itself. ConstrainedBasis predicts "
            f"{settings.functions} functions bⱼ, and nonlinear least squares finds the weights with which they fulfil "
            f"the equation best, for each problem anew. JointExperts has such weights for each of {settings.experts} "
            "boxes along x, which overlap and are blended by shares gₖ, and finds all of them together.",
            "A residual is large where a field is rough, and small where it is wrong but smooth. So what is made small "
            "is not the residual but the error that it stands for, which is estimated by sending it through the "
            "equation of diffusion.",
            verdict(study),
            limit(study),
        ),
        equations=(
            "R(u) ∂u/∂t = D ∂²u/∂x²,  u = 1 at x = 0,  u + b ∂u/∂x = 0 at x = 1",
            "u(t, x) = u₀(x) + Σₖ gₖ(t, x) Σⱼ wₖⱼ bⱼ(t, x)",
        ),
        tables=(comparison_table(study), seams_table(study)),
        pictures=hard_constraints_pictures.pictures(study),
        sources=(
            "Problem: Takamoto et al., PDEBench, NeurIPS 2022, with varied coefficients. Constrained bases: Négiar, "
            "Mahoney and Krishnapriyan, ICLR 2023, arXiv 2207.08675. Experts: Chalapathi, Du and Krishnapriyan, ICLR "
            "2024, arXiv 2402.13412. Blended bases: Babuška and Melenk, 1997.",
        ),
    )


def verdict(study: hard_constraints.Study) -> str:
    """The most exact network beside the solver, in words."""
    best, solver = study.best, study.solver
    return (
        f"On {study.settings.tests} problems that none has seen, the most exact network, {best.name}, is off by "
        f"{percent(best.error)} and takes {seconds(best.seconds)} for a problem. RKC2 with a loose tolerance, rtol = "
        f"{hard_constraints.LOOSE['rtol']:g}, is off by {percent(solver.error)} and takes {seconds(solver.seconds)}: "
        f"{_beside(best, solver)}"
    )


def _beside(network: hard_constraints.Outcome, solver: hard_constraints.Outcome) -> str:
    faster, better = solver.seconds < network.seconds, solver.error < network.error
    if faster and better:
        return (
            "it is faster and better, and needs no training. What networks have for them is that they are functions, "
            "with derivatives in all that they read."
        )
    if better:
        return "it is better, and needs no training, but slower."
    return f"it is {'faster' if faster else 'slower'} and less exact."


def limit(study: hard_constraints.Study) -> str:
    """Below what a residual says nothing, in words."""
    own, best, steps = study.solution.sizes.mean(), study.best, study.settings.times
    said = f"Rates in time are differences between {steps + 1} times, so the solution has a residual, too: {own:.2g}. "
    if best.size < own:
        return said + f"That of {best.name}, {best.size:.2g}, is smaller: what would make it more exact is more times."
    return said + f"That of {best.name}, {best.size:.2g}, is larger: what would make it more exact is more training."


def comparison_table(study: hard_constraints.Study) -> TextTable:
    """Errors, residuals and costs of the networks, and of the solver."""
    rows = [_row(one) for one in (*study.networks, study.solver)]
    header = ("method", "relative L2", "estimate", "unsolved", "training", "time")
    title = f"{study.settings.tests} problems that no network has seen; time is for one of them in a batch"
    return TextTable("hard-constraints", title, header, rows)


def _row(one: hard_constraints.Outcome) -> tuple[str, ...]:
    if one.training is None:
        name, of_network = f"{one.name}, rtol = {hard_constraints.LOOSE['rtol']:g}", ("–", "–")
    else:
        name, of_network = one.name, (f"{one.predicted.unsolved:.0%}", seconds(one.training))
    return (name, percent(one.error), f"{one.size:.2g}", *of_network, seconds(one.seconds))


def seams_table(study: hard_constraints.Study) -> TextTable:
    """Jumps across the faces of boxes."""
    of_solution = hard_constraints.jumps(study.solution.u, study.settings)
    kinds = {
        "experts apart, boxes that meet": study.apart.seams,
        "experts together, boxes that overlap": study.networks[-1].seams,
        "solution": of_solution,
    }
    rows = [(name, *(f"{one:.2f}" for one in jumps)) for name, jumps in kinds.items()]
    return TextTable("seams", "Jumps across faces, over those beside them", ("field", "of u", "of its slope"), rows)


def tiles(study: hard_constraints.Study) -> list[dict[str, str]]:
    """The headline figures."""
    soft, best = study.networks[0], study.best
    return [
        {
            "value": f"{percent(soft.error)} → {percent(best.error)}",
            "label": f"error of networks that saw no solution, {soft.name} → {best.name}",
        },
        {
            "value": f"{percent(study.solver.error)}, {seconds(study.solver.seconds)}",
            "label": f"of a solver with a loose tolerance on the same problems; {best.name}: {seconds(best.seconds)}",
        },
    ]


def results(study: hard_constraints.Study) -> dict[str, Any]:
    """The figures as plain numbers."""
    named = {one.name: one for one in (*study.networks, study.solver, study.apart)}
    return {
        "settings": vars(study.settings),
        "solution_estimated_error": float(study.solution.sizes.mean()),
        **{name: _figures(one) for name, one in named.items()},
    }


def _figures(one: hard_constraints.Outcome) -> dict[str, Any]:
    return {
        "relative_l2": one.error,
        "estimated_error": one.size,
        "unsolved": one.predicted.unsolved,
        "seams": list(one.seams),
        "seconds": one.seconds,
        "training_seconds": one.training,
    }
