"""What is computed once of numbers and names."""

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode

from kutta.tables import table

made = []


@table
def steps(count, name, dtype):
    made.append(count)
    return torch.tensor([len(name) * place for place in range(count)], dtype=dtype)


@table
def pair(count):
    return count, (float(count), 2.0)


def test_it_is_computed_once():
    made.clear()
    assert steps(3, "ab", torch.float64) is steps(3, "ab", torch.float64)
    assert steps(4, "ab", torch.float64).tolist() == [0.0, 2.0, 4.0, 6.0] and made == [3, 4]
    assert steps.__name__ == "steps"


def test_what_was_made_for_inference_serves_training():
    x = torch.ones(5, requires_grad=True)
    with torch.inference_mode():
        steps(5, "c", torch.float32)
    (gradient,) = torch.autograd.grad((x * steps(5, "c", torch.float32)).sum(), x)
    assert gradient.tolist() == [0.0, 1.0, 2.0, 3.0, 4.0]


def test_what_a_tracer_made_without_values_is_not_kept():
    with FakeTensorMode():
        assert isinstance(steps(6, "d", torch.float32), FakeTensor)
    assert steps(6, "d", torch.float32).tolist() == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]


@pytest.mark.slow
def test_in_a_compiled_graph_it_is_a_constant_of_any_size():
    """Without a break, a call of the function in the graph, or a warning about what is remembered."""

    def scaled(x):
        first, (second, _) = pair(x.shape[-1])
        return x * steps(x.shape[-1], "ab", x.dtype) + steps(x.shape[-1], "abc", x.dtype) + first * second

    torch._dynamo.reset()
    compiled = torch.compile(scaled, backend="aot_eager", fullgraph=True)
    for count in (3, 5, 7):
        x = torch.randn(2, count)
        torch.testing.assert_close(compiled(x), scaled(x))
