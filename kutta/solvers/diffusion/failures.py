"""What to try where sampling fails: the words of `kutta.Result` are for methods of differential equations."""

from __future__ import annotations

from kutta.solution import Result

ON_A_GRID = (
    "the state became infinite or NaN; look at what the model returns near this time, or try less guidance, more steps "
    "or a sampler of lower order, as the state may have grown from step to step"
)
ADAPTIVE = {
    Result.NON_FINITE: (
        "the state or the model's output became infinite or NaN, whatever the step size; look at what the model "
        "returns near this time, or try less guidance"
    ),
    Result.MAX_STEPS: (
        "the largest number of steps was taken before the final time; raise max_steps, loosen rtol and atol, try less "
        "guidance, or use a sampler with a given number of steps, as a model whose output is not smooth keeps the "
        "steps small"
    ),
    Result.STEP_UNDERFLOW: (
        "the step size fell below the smallest one allowed; the model's output may jump near this time, or rtol and "
        "atol be too tight for its dtype: loosen them, or use a sampler with a given number of steps"
    ),
}
