"""How often the loop waits for the device: values read by Python, counted a step."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import kutta as kt
from tests._helpers import F64, swing, tensor

READS = {torch.ops.aten._local_scalar_dense.default, torch.ops.aten.equal.default, torch.ops.aten.is_nonzero.default}
# On a device these wait as well: their result's shape depends on values.
READS |= {torch.ops.aten.nonzero.default, torch.ops.aten.masked_select.default}


class Reads(TorchDispatchMode):
    """Counts transfers of device values to the host; ``tolist`` is counted once, whatever the number of values."""

    def __init__(self):
        super().__init__()
        self.count = 0
        self.lists = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += func in READS
        return func(*args, **(kwargs or {}))

    def __enter__(self):
        self.tolist = torch.Tensor.tolist

        def counted(tensor):
            before = self.count
            values = self.tolist(tensor)
            self.count = before + 1
            return values

        torch.Tensor.tolist = counted
        return super().__enter__()

    def __exit__(self, *error):
        torch.Tensor.tolist = self.tolist
        return super().__exit__(*error)


def reads(problem, **options):
    with Reads() as counted:
        sol = kt.solve(problem, **options)
    return counted.count, int(torch.as_tensor(sol.stats.steps).max())


START = tensor(1.0, 0.2)
EVENT = kt.Event(lambda t, y: y[0] + 5.0)
CASES = {
    "adaptive": {},
    "fixed": {"method": kt.RK4(), "controller": kt.Fixed(0.1)},
    "outputs": {"save_at": torch.linspace(0.0, 1.0, 100, dtype=F64)},
    "every step": {"save_at": "steps"},
    "an event that never comes": {"events": [EVENT]},
    "implicit": {"method": kt.Rodas5P()},
    "dense": {"dense": True},
}


def each_step(make, options):
    """Reads a step, between a short and a long solve, so that those before the loop do not count."""

    def up_to(end):
        save = options.get("save_at")
        scaled = {"save_at": save * end} if isinstance(save, torch.Tensor) else {}
        return reads(make(end), **{**options, **scaled})

    (short, few), (long, many) = up_to(2.0), up_to(20.0)
    return (long - short) / (many - few)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("shape", [(2,), (2, 64)], ids=["one", "shared step size"])
def test_one_read_a_step(case, shape):
    y0 = START if shape == (2,) else START[:, None].expand(shape).contiguous()
    if case == "an event that never comes" and shape != (2,):
        pytest.skip("the condition is one number")
    per_step = each_step(lambda end: kt.ODEProblem(swing, y0, (0.0, end)), CASES[case])
    print(f"host reads a step, {case}, shape {shape}: {per_step:.2f}")
    assert per_step <= 1.01


@pytest.mark.parametrize("case", [case for case in CASES if case != "dense"])
def test_at_most_one_read_a_step_in_ensembles(case):
    y0 = START.expand(64, 2) * torch.linspace(0.5, 1.0, 64, dtype=F64)[:, None]
    per_step = each_step(lambda end: kt.EnsembleProblem(swing, y0, (0.0, end)), CASES[case])
    print(f"host reads a step, ensemble, {case}: {per_step:.2f}")
    assert per_step <= 1.2  # packing finished rows reads where they are, a few times a solve


def test_one_read_a_step_with_gradients():
    y0 = START.clone().requires_grad_()
    per_step = each_step(lambda end: kt.ODEProblem(swing, y0, (0.0, end)), {})
    assert per_step <= 1.01
