"""Operators: apply, transposed, shifted, diagonal, dense and inverse say the same of each."""

import pytest
import torch

import kutta as kt
from tests._helpers import F64, tensor
from tests.solvers.algebra._systems import definite, general, random

C128 = torch.complex128
N = 6


def sparse(matrix):
    thin = torch.where(random(*matrix.shape[-2:], seed=9) > 0.4, matrix, 0.0) + torch.eye(N, dtype=matrix.dtype)
    places = thin.nonzero().T
    return torch.sparse_coo_tensor(places, thin[tuple(places)], thin.shape, check_invariants=True)


def fourier(symbols, symmetric=False):
    return kt.algebra.Diagonal(symbols, torch.fft.rfft, lambda u: torch.fft.irfft(u, N), axes=1, symmetric=symmetric)


def periodic(x):
    return 3.0 * x - x.roll(1, -1) + 0.5 * x.roll(2, -1)


OPERATORS = {
    "dense": (lambda: kt.algebra.Dense(general(N)), F64),
    "dense batch": (lambda: kt.algebra.Dense(torch.stack([general(N), general(N, 1)])), F64),
    "dense complex": (lambda: kt.algebra.Dense(general(N, dtype=C128)), C128),
    "hermitian": (lambda: kt.algebra.Dense(definite(N, dtype=C128), definite=True), C128),
    "banded": (lambda: kt.algebra.Banded(random(4, N), (0, -2, 1, 3)), F64),
    "banded batch": (lambda: kt.algebra.Banded(random(2, 3, N), (-1, 0, 1)), F64),
    "banded without main": (lambda: kt.algebra.Banded(random(2, N), (-1, 2)), F64),
    "coo": (lambda: kt.algebra.Sparse(sparse(general(N))), F64),
    "csr complex": (lambda: kt.algebra.Sparse(sparse(general(N, dtype=C128))), C128),
    "sparse batch": (lambda: _sparse_batch(), F64),
    "diagonal": (lambda: kt.algebra.Diagonal(1.0 + random(N).abs()), F64),
    "fourier": (lambda: fourier(1.0 + random(N // 2 + 1).abs(), symmetric=True), F64),
    "fourier complex": (lambda: fourier(torch.polar(torch.ones(4, dtype=F64), tensor(0.0, 1.0, 2.0, 0.0))), F64),
    "matrix free": (lambda: kt.algebra.MatrixFree(periodic, axes=1), F64),
    "matrix free complex": (lambda: kt.algebra.MatrixFree(lambda x: 2j * periodic(x) + x, axes=1), C128),
    "with transpose": (lambda: _with_transpose(), F64),
    "transposed": (lambda: kt.algebra.MatrixFree(periodic, axes=1).transposed(), F64),
    "shifted": (lambda: kt.algebra.MatrixFree(periodic, axes=1).shifted(0.5, -2.0), F64),
    "sum": (lambda: kt.algebra.Dense(general(N)) + 2.0 * kt.algebra.MatrixFree(periodic, axes=1), F64),
    "difference": (lambda: kt.algebra.Dense(general(N)) - kt.algebra.Dense(definite(N)), F64),
}


def _sparse_batch():
    one = kt.algebra.Sparse(sparse(general(N)))
    matrix = sparse(general(N))
    return kt.algebra.Sparse(matrix, torch.stack([one.values, 2.0 + one.values]))


def _with_transpose():
    def back(x):
        return 3.0 * x - x.roll(-1, -1) + 0.5 * x.roll(-2, -1)

    return kt.algebra.MatrixFree(periodic, axes=1, transpose=back)


@pytest.fixture(params=OPERATORS, ids=str)
def case(request):
    make, dtype = OPERATORS[request.param]
    operator = make()
    return operator, random(3, *operator.batch, N, seed=5, dtype=dtype)


def close(got, wanted):
    torch.testing.assert_close(got, wanted, rtol=1e-12, atol=1e-12)


def by(matrix, x):
    return (matrix @ x.unsqueeze(-1)).squeeze(-1)


def test_dense_is_what_apply_does(case):
    operator, x = case
    matrix = operator.dense(x)
    assert matrix.shape == (*operator.batch, N, N) and matrix.dtype == x.dtype
    close(operator.apply(x), by(matrix, x))
    with torch.no_grad():
        close(operator.apply(x), by(matrix, x))


@pytest.mark.parametrize("mode", [torch.enable_grad, torch.no_grad])
def test_apply_can_be_compiled(case, mode):
    operator, x = case
    torch._dynamo.reset()
    with mode():
        close(torch.compile(operator.apply, fullgraph=True, backend="eager")(x), operator.apply(x))


def test_transposed(case):
    operator, x = case
    turned = operator.transposed()
    assert (turned.axes, turned.symmetric, turned.definite) == (operator.axes, operator.symmetric, operator.definite)
    close(turned.apply(x), by(operator.dense(x).mT, x))
    close(turned.dense(x), operator.dense(x).mT)
    close(turned.transposed().apply(x), operator.apply(x))
    close(turned.diagonal(x), operator.diagonal(x))


def test_shifted_keeps_structure(case):
    operator, x = case
    moved = operator.shifted(0.7, -1.5)
    structured = (kt.algebra.Dense, kt.algebra.Banded, kt.algebra.Sparse, kt.algebra.Diagonal, kt.algebra.Sum)
    assert type(moved) is type(operator) or not isinstance(operator, structured)
    close(moved.apply(x), 0.7 * x - 1.5 * operator.apply(x))
    close(moved.dense(x), 0.7 * torch.eye(N, dtype=x.dtype) - 1.5 * operator.dense(x))
    close(moved.transposed().apply(x), by(moved.dense(x).mT, x))
    assert moved.symmetric == operator.symmetric and not moved.definite
    assert operator.shifted(0.0, 2.0).definite == operator.definite


def test_multiples_and_sums(case):
    operator, x = case
    image = operator.apply(x)
    close((-operator).apply(x), -image)
    close((2.0 * operator + operator * torch.tensor(0.5, dtype=F64)).apply(x), 2.5 * image)
    close((operator - 3.0 * operator).apply(x), -2.0 * image)


def test_diagonal(case):
    operator, x = case
    close(operator.diagonal(x), torch.diagonal(operator.dense(x), dim1=-2, dim2=-1))


def test_inverse(case):
    operator, x = case
    if isinstance(operator, kt.algebra.Banded) and 0 not in operator.offsets:
        operator = operator.shifted(9.0, 1.0)
    for one in (operator, operator.transposed()):
        inverse = one.inverse()
        if inverse is not None:
            torch.testing.assert_close(one.apply(inverse(x)), x, rtol=1e-9, atol=1e-9)


def test_who_has_an_inverse():
    having = {name for name, (make, _) in OPERATORS.items() if make().inverse() is not None}
    assert having == {"banded", "banded batch", "banded without main", "diagonal", "fourier", "fourier complex"}


@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support is in beta")
def test_gradients_reach_the_entries():
    x = random(2, N, seed=3)
    places = torch.tensor([[0, 0, 3, 5], [1, 0, 3, 2]])

    def of_sparse(values):
        matrix = torch.sparse_coo_tensor(places, values, (N, N), check_invariants=True)
        operator = kt.algebra.Sparse(matrix)
        return operator.apply(x) + operator.transposed().apply(x)

    def of_csr(values):
        matrix = torch.sparse_csr_tensor(
            torch.tensor([0, 1, 2, 2, 3, 3, 4]), torch.tensor([1, 0, 3, 2]), values, (N, N), check_invariants=True
        )
        return kt.algebra.Sparse(matrix).apply(x)

    def of_bands(bands):
        operator = kt.algebra.Banded(bands, (-1, 2))
        return operator.apply(x) + operator.transposed().apply(x) + operator.dense(x).square().sum()

    def of_values(values):
        operator = kt.algebra.Sparse(sparse(general(N)), values)
        return operator.apply(x) + operator.shifted(0.3, values[0]).transposed().apply(x)

    for function, entries in (
        (of_sparse, random(4)),
        (of_csr, random(4)),
        (of_bands, random(2, N)),
        (of_values, random(sparse(general(N))._nnz())),
    ):
        # PyTorch's own sparse tensors have no forward mode, and no second derivatives.
        dense = function in (of_bands, of_values)
        assert torch.autograd.gradcheck(function, entries.requires_grad_(), check_forward_ad=dense, fast_mode=True)
        assert not dense or torch.autograd.gradgradcheck(function, entries, fast_mode=True)


def test_sparse_repeated_entries_add_up():
    places = torch.tensor([[1, 0, 1], [0, 1, 0]])
    matrix = torch.sparse_coo_tensor(places, torch.tensor([1.0, 5.0, 2.0]), (2, 2), check_invariants=True)
    assert kt.algebra.Sparse(matrix).dense(torch.ones(2)).tolist() == [[0.0, 5.0], [3.0, 0.0]]


def test_a_sparse_matrix_without_entries_is_zero():
    empty = kt.algebra.Sparse(torch.zeros(3, 3, dtype=F64).to_sparse_coo())
    batch = kt.algebra.Sparse(torch.zeros(3, 3, dtype=F64).to_sparse_coo(), torch.zeros(2, 0, dtype=F64))
    for operator in (empty, empty.transposed(), batch):
        x = random(2, 3)
        close(operator.apply(x), 0 * x)
        close(operator.shifted(2.0, 1.0).apply(x), 2.0 * x)
        assert not bool(operator.dense(x).any()) and not bool(operator.diagonal(x).any())


def test_fields_of_several_axes():
    k = 2 * torch.pi * torch.fft.fftfreq(8, 1 / 8, dtype=F64)
    symbols = -(k[:, None] ** 2 + k**2)
    laplacian = kt.algebra.Diagonal(symbols, torch.fft.fft2, lambda u: torch.fft.ifft2(u).real, symmetric=True)
    u = random(3, 8, 8)
    assert laplacian.axes == 2 and laplacian.batch == ()
    close(laplacian.dense(u) @ u.reshape(3, 64, 1), laplacian.apply(u).reshape(3, 64, 1))
    # The mean has no inverse, and stays out.
    found = laplacian.inverse()(u)
    assert float(found.mean()) == pytest.approx(0.0, abs=1e-12)
    close(laplacian.apply(found), u - u.mean((-2, -1), keepdim=True))


def test_an_operator_without_batch():
    operator = kt.algebra.MatrixFree(lambda u: u + u.flip(0) * torch.arange(6.0).double().reshape(2, 3))
    u = random(2, 3)
    close(operator.dense(u) @ u.reshape(6), operator.apply(u).reshape(6))
    close(operator.transposed().dense(u), operator.dense(u).mT)
    close(operator.diagonal(u).reshape(6), torch.diagonal(operator.dense(u)))


@pytest.mark.parametrize(
    "make, error, message",
    [
        (lambda: kt.algebra.Dense(torch.ones(2, 3)), ValueError, "matrix must be square.*\\(2, 3\\)"),
        (lambda: kt.algebra.Dense(torch.ones(2, 2).int()), TypeError, "floating-point or complex"),
        (lambda: kt.algebra.Banded(torch.ones(2, 5), (0, 1, 2)), ValueError, "diagonals must have shape \\(..., 3, n"),
        (lambda: kt.algebra.Banded(torch.ones(2, 5), (0, 0)), ValueError, "offsets must be different"),
        (lambda: kt.algebra.Banded(torch.ones(2, 5), (0, 5)), ValueError, "between -4 and 4"),
        (lambda: kt.algebra.Banded(torch.ones(1, 5).int(), (0,)), TypeError, "floating-point or complex"),
        (lambda: kt.algebra.Sparse(torch.eye(2)), TypeError, "sparse CSR or COO"),
        (lambda: kt.algebra.Sparse(sparse(general(N)), random(3)), ValueError, "values must have shape"),
        (lambda: kt.algebra.Diagonal([1.0, 2.0]), TypeError, "symbols must be a tensor"),
        (lambda: kt.algebra.MatrixFree(torch.ones(2)), TypeError, "function must be callable"),
        (lambda: kt.algebra.MatrixFree(periodic, axes=0), ValueError, "axes must be None or a positive"),
        (lambda: kt.algebra.Dense(general(2)) + kt.algebra.MatrixFree(periodic), ValueError, "same number of axes"),
        (lambda: kt.algebra.MatrixFree(torch.sum).apply(torch.ones(2)), ValueError, "such as its argument"),
    ],
)
def test_what_does_not_fit_is_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()
