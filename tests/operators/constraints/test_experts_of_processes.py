"""Experts that two processes solve, against one."""

from multiprocessing import get_context

import pytest
import torch
import torch.distributed as distributed

import kutta as kt
from kutta.operators.constraints.experts_of_processes import ExpertsOfProcesses
from tests._helpers import F64
from tests.operators.constraints._networks import STEPS, burgers, tiny

TARGET = torch.randn(STEPS + 1, 2, 16, generator=torch.Generator().manual_seed(3), dtype=F64)


def predicted(processes, experts=3):
    """What a model with fixed weights says, and the derivatives of a loss, averaged over processes."""
    model = kt.operators.MixtureOfExperts(
        tiny(4).double(), STEPS, kt.operators.Boxes((1, experts), 0.2), ridge=1e-3, processes=processes, points=60
    ).eval()
    found = model(burgers())
    (found.u * TARGET).sum().backward()
    gradient = torch.cat([one.grad.flatten() for one in model.parameters()])
    if processes:
        distributed.all_reduce(gradient)
        gradient /= distributed.get_world_size()
    return found.u.detach(), found.weights.detach(), found.results, gradient


def _work(rank, rendezvous, answers):
    distributed.init_process_group("gloo", f"file://{rendezvous}", rank=rank, world_size=2)
    torch.set_num_threads(1)
    answers.put((rank, [one.tolist() for one in predicted(True)]))
    distributed.barrier()
    distributed.destroy_process_group()


def test_two_processes_predict_what_one_does_with_the_same_derivatives(tmp_path):
    context = get_context("spawn")
    answers = context.Queue()
    workers = [context.Process(target=_work, args=(rank, tmp_path / "rendezvous", answers)) for rank in range(2)]
    for worker in workers:
        worker.start()
    found = dict(answers.get(timeout=120) for _ in workers)
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0
    u, weights, results, gradient = predicted(None)
    for rank in range(2):
        of_u, of_weights, of_results, of_gradient = (torch.tensor(one, dtype=F64) for one in found[rank])
        assert float((of_u - u).abs().max()) < 1e-10
        assert float((of_weights - weights).abs().max()) < 1e-10 * float(weights.abs().max())
        assert torch.equal(of_results, results.to(F64))
        assert float((of_gradient - gradient).abs().max()) < 1e-9 * float(gradient.abs().max())


def test_fewer_experts_than_processes_are_refused(tmp_path):
    distributed.init_process_group("gloo", f"file://{tmp_path}/alone", rank=0, world_size=1)
    try:
        u, weights, _, gradient = predicted(True, experts=2)
        alone = predicted(None, experts=2)
        assert torch.equal(u, alone[0]) and torch.equal(weights, alone[1])
        assert torch.allclose(gradient, alone[3], rtol=1e-12)
        group = ExpertsOfProcesses(True)
        group.size = 3
        with pytest.raises(ValueError, match="an expert for each of 3 processes; got 2"):
            group.own(2)
    finally:
        distributed.destroy_process_group()
