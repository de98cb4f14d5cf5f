"""DPM-Solver and DPM-Solver++ against the schedulers of diffusers: same model, same nodes, float64."""

import pytest

import kutta as kt

pytest.importorskip("diffusers")

from tests.solvers.diffusion.test_against_diffusers import FLOW, NAMES, STABLE, TOLERANCE, Row, both, relative

FORMS = {"data": "dpmsolver++", "noise": "dpmsolver"}
SAMPLERS = {"data": kt.DPMSolverPP, "noise": kt.DPMSolver}


def multistep(order, kind, form="data", end="sigma_min", steps=10, prediction="epsilon", **config):
    config = {"algorithm_type": FORMS[form], "solver_order": order, "solver_type": kind, **STABLE, **config}
    config |= {"final_sigmas_type": end, "prediction_type": NAMES[prediction]}
    sampler = SAMPLERS[form](order, kind)
    return Row("DPMSolverMultistepScheduler", config, sampler, steps=steps, prediction=prediction)


def stochastic(order, kind, end="sigma_min", steps=10):
    config = {"algorithm_type": "sde-dpmsolver++", "solver_order": order, "solver_type": kind, **STABLE}
    config["final_sigmas_type"] = end
    sampler = kt.DPMSolverPP(order, kind, eta=1.0)
    return Row("DPMSolverMultistepScheduler", config, sampler, steps=steps, stochastic=True)


def singlestep(order, kind, form, steps, end="sigma_min"):
    config = {"algorithm_type": FORMS[form], "solver_order": order, "solver_type": kind, **STABLE}
    config["final_sigmas_type"] = end
    sampler = kt.diffusion.DPMSolverSinglestep(order, form, kind)
    return Row("DPMSolverSinglestepScheduler", config, sampler, steps=steps)


KINDS = ("midpoint", "heun")
ROWS = [
    *(multistep(order, kind, form) for order in (1, 2, 3) for kind in KINDS for form in FORMS),
    *(multistep(order, "midpoint", form, steps=20) for order in (2, 3) for form in FORMS),
    *(multistep(order, "midpoint", end="zero", steps=steps) for order in (1, 2, 3) for steps in (10, 20)),
    *(multistep(3, "midpoint", form, prediction=one) for form in FORMS for one in ("data", "v")),
    multistep(2, "midpoint", steps=20, use_karras_sigmas=True),
    Row(
        "DPMSolverMultistepScheduler",
        {"use_flow_sigmas": True, "prediction_type": NAMES["flow"], "flow_shift": 3.0},
        kt.DPMSolverPP(2),
        **FLOW,
    ),
    *(stochastic(order, kind) for order in (1, 2) for kind in KINDS),
    stochastic(2, "midpoint", end="zero", steps=20),
    *(singlestep(order, kind, form, 3 * order) for order in (1, 2, 3) for kind in KINDS for form in FORMS),
    *(singlestep(3, "midpoint", "data", steps, end="zero") for steps in (9, 10, 11)),
    *(singlestep(2, "midpoint", "data", steps, end="zero") for steps in (9, 10)),
    singlestep(3, "midpoint", "data", 10),
    singlestep(3, "midpoint", "data", 11),
]


@pytest.mark.parametrize("row", ROWS, ids=str)
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_samplers_do_what_the_schedulers_do(row, monkeypatch):
    assert relative(*both(row, monkeypatch.setattr)) < TOLERANCE
