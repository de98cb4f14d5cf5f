"""What is computed once of numbers and names."""

import pytest
import torch

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
