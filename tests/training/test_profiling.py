"""Nothing is measured unless asked for."""

from pytorch_lightning.profilers import SimpleProfiler
from torch import nn

from kutta.training import Batches, Task, fit
from kutta.training.profiling import Unmeasured
from tests.training.test_task import X, square


def test_another_profiler_may_be_given():
    profiler = SimpleProfiler()
    fit(Task(nn.Linear(1, 1), square), Batches(X, 4), 3, profiler=profiler, progress=False)
    assert len(profiler.recorded_durations["run_training_batch"]) == 3


def test_actions_may_be_nested():
    profiler = Unmeasured()
    with profiler.profile("outer"), profiler.profile("inner"), profiler.profile("inner"):
        pass
    assert profiler.summary() == ""
