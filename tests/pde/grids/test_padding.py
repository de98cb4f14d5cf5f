"""Ghost values: what the boundary conditions say, to the order that is asked for."""

import itertools
import math

import pytest
import torch

import kutta as kt
from kutta.pde.grids.padding import ghost_weights

P = kt.pde
F64 = torch.float64
KINDS = {"Dirichlet": (1.0, 0.0), "Neumann": (0.0, 1.0), "Robin": (2.0, 0.7)}


def exact(x):
    return torch.sin(1.3 * x + 0.4) + x**2


def slope(x):
    return 1.3 * torch.cos(1.3 * x + 0.4) + 2 * x


def curvature(x):
    return -1.69 * torch.sin(1.3 * x + 0.4) + 2


def condition(kind, place, outward):
    """The condition of a kind that `exact` fulfils at a place."""
    (a, b), place = KINDS[kind], torch.tensor(place, dtype=F64)
    g = float(a * exact(place) + b * outward * slope(place))
    return P.Robin(a, b, g) if a and b else P.Dirichlet(g) if a else P.Neumann(g)


def solution_error(centring, kind, accuracy, count):
    """The largest error of the discrete solution of ``u'' = f``; with slopes alone its mean is given, too."""
    walls = condition(kind, 0.0, -1.0), condition(kind, 1.0, 1.0)
    grid = P.Grid(count, 1.0, centring, boundary=(walls,))
    x, zero = grid.points()[0], torch.zeros(count, dtype=F64)
    constant = P.laplacian(zero, grid, accuracy)
    matrix = torch.stack([P.laplacian(unit, grid, accuracy) - constant for unit in torch.eye(count, dtype=F64)], 1)
    right = curvature(x) - constant
    if kind == "Neumann":
        matrix, right = torch.cat([matrix, torch.ones(1, count, dtype=F64)]), torch.cat([right, exact(x).sum()[None]])
    unknown = slice(1, -1) if centring == "node" and kind == "Dirichlet" else slice(None)
    matrix, right = (matrix[unknown, unknown], right[unknown]) if unknown != slice(None) else (matrix, right)
    found = torch.linalg.lstsq(matrix, right[:, None]).solution[:, 0]
    return float((found - exact(x)[unknown]).abs().max()), grid.spacing[0]


@pytest.mark.parametrize("accuracy", [2, 4, 6])
@pytest.mark.parametrize(("centring", "kind"), list(itertools.product(["cell", "node"], KINDS)))
def test_solutions_have_the_order_of_the_ghosts(centring, kind, accuracy):
    counts = (16, 32, 64) if accuracy < 6 else (12, 24, 48)
    (e0, _), (e1, h1), (e2, h2) = (solution_error(centring, kind, accuracy, count) for count in counts)
    assert e2 < e1 < e0
    assert math.log(e1 / e2) / math.log(h1 / h2) == pytest.approx(accuracy, abs=0.15)


def eigenvalues(function, grid):
    """Of a linear function of the unknowns, without boundary data."""
    data = [grid.centring[0] == "node" and isinstance(one, P.Dirichlet) for one in grid.boundary[0]]
    unknown = slice(int(data[0]), grid.shape[0] - int(data[1]))
    images = torch.stack([function(unit) for unit in torch.eye(grid.shape[0], dtype=F64)], 1)
    return torch.linalg.eigvals(images[unknown, unknown])


@pytest.mark.parametrize("accuracy", [2, 4, 6])
@pytest.mark.parametrize("centring", ["cell", "node"])
@pytest.mark.parametrize("walls", list(itertools.product(KINDS, KINDS)), ids="-".join)
def test_no_closure_makes_diffusion_grow(walls, centring, accuracy):
    """Nor waves, whose frequencies are real where the eigenvalues are."""
    grid = P.Grid(
        24, 1.0, centring, boundary=(tuple(P.Robin(a, b) if b else P.Dirichlet() for a, b in map(KINDS.get, walls)),)
    )
    found = eigenvalues(lambda u: P.laplacian(u, grid, accuracy), grid)
    assert float(found.real.max()) < 1e-10 and float(found.imag.abs().max()) < 1e-10


@pytest.mark.parametrize(("accuracy", "centring"), [(2, "cell"), (2, "node"), (4, "cell")])
def test_no_closure_makes_advection_grow(accuracy, centring):
    for count in (24, 48):
        grid = P.Grid(count, 1.0, centring, boundary=(P.Dirichlet(), P.Neumann()))
        found = eigenvalues(lambda u, grid=grid: -P.derivative(u, grid, 0, 1, accuracy), grid)
        assert float(found.real.max()) < 1e-10


def test_the_usual_ghosts():
    def near(row):
        return pytest.approx(row, abs=1e-12)

    assert ghost_weights("cell", 1.0, 0.0, 0.1, 1, 2) == (0, (near((-1.0, 2.0)),))
    assert ghost_weights("cell", 0.0, 1.0, 0.1, 1, 2) == (0, (near((1.0, 0.1)),))
    a, b, h = 2.0, 0.7, 0.1
    robin = (-(a / 2 - b / h) / (a / 2 + b / h), 1.0 / (a / 2 + b / h))
    assert ghost_weights("cell", a, b, h, 1, 2) == (0, (near(robin),))
    assert ghost_weights("node", 0.0, 1.0, 0.1, 1, 2) == (0, (near((0.0, 1.0, 0.2)),))


def test_periodic_axes_wrap():
    grid = P.Grid((3, 2))
    u = torch.arange(6.0).reshape(3, 2)
    padded = P.pad(u, grid, 2, axis=0)
    assert torch.equal(padded, torch.cat([u[1:], u, u[:2]]))
    assert P.pad(u, grid, 1).shape == (5, 4)
    assert torch.equal(P.pad(u, grid, 0), u)


def test_nodes_on_a_side_take_its_value():
    grid = P.Grid(4, 3.0, "node", boundary=P.Dirichlet(7.0))
    padded = P.pad(torch.tensor([0.0, 1.0, 2.0, 0.0]), grid, 1)
    assert padded.tolist() == [13.0, 7.0, 1.0, 2.0, 7.0, 12.0]


def test_values_that_vary_along_the_face_and_in_time():
    walls = (P.Dirichlet(lambda x, t: x[1] + t), P.Neumann())
    grid = P.Grid((2, 3), (2.0, 3.0), boundary=(walls, P.Neumann()))
    padded = P.pad(torch.zeros(2, 3), grid, 1, axis=0, t=10.0)
    assert padded[0].tolist() == [21.0, 23.0, 25.0]  # 2 g with g at x = 1/2, 3/2, 5/2
    assert padded[-1].tolist() == [0.0, 0.0, 0.0]
    whole = P.pad(torch.zeros(2, 3), grid, 1, t=10.0)
    assert whole.shape == (4, 5)
    again = P.Grid((2, 3), (2.0, 3.0), boundary=(P.Neumann(), (P.Dirichlet(torch.tensor([1.0, 2.0])), P.Neumann())))
    corners = P.pad(torch.zeros(2, 3), again, 1)
    assert corners[:, 0].tolist() == [2.0, 2.0, 4.0, 4.0]  # the face goes on beyond its ends


def test_batches_and_channels_with_values_of_their_own():
    g = torch.tensor([[1.0], [2.0]])[..., None]  # (batch, channel, face of a point)
    grid = P.Grid(4, 4.0, boundary=P.Dirichlet(g[..., 0]))
    padded = P.pad(torch.zeros(2, 1, 4), grid, 1)
    assert padded[..., 0].tolist() == [[2.0], [4.0]]


@pytest.mark.parametrize("centring", ["cell", "node"])
def test_axes_of_one_stand_for_the_whole_face(centring):
    u = torch.rand(2, 4, 5, generator=torch.Generator().manual_seed(0))
    g = torch.tensor([[1.0], [3.0]])

    def padded(g):
        sides = (P.Dirichlet(g), P.Neumann(g))
        return P.pad(u, P.Grid((4, 5), centring=centring, boundary=(sides, P.Neumann())), 1)

    assert torch.equal(padded(g), padded(g.expand(2, 5)))
    assert torch.equal(padded(lambda x, t: g), padded(g))


def test_gradients_reach_field_and_boundary():
    u = torch.randn(4, 5, dtype=F64, requires_grad=True)
    g = torch.randn(4, dtype=F64, requires_grad=True)

    def padded(u, g):
        grid = P.Grid((4, 5), boundary=(P.Neumann(0.3), (P.Robin(1.0, 0.5, g), P.Dirichlet(g))))
        return P.pad(u, grid, 2, accuracy=4)

    torch.autograd.gradcheck(padded, (u, g))


@pytest.mark.parametrize(
    ("u", "grid", "options", "match"),
    [
        (torch.zeros(4), P.Grid(3), {}, r"must have the shape \(..., 3\); got \(4,\)"),
        (torch.zeros(3), P.Grid(3), {"width": 4}, "has no 4 ghosts"),
        (torch.zeros(3), P.Grid(3, boundary=P.Neumann()), {"accuracy": 6}, "needs 6 points on axis 0"),
        (torch.zeros(3, 3), P.Grid((3, 3), boundary=P.Dirichlet(torch.zeros(2))), {}, "of the face"),
        (torch.zeros(4), P.Grid(4, 4.0, boundary=P.Robin(-2.0, 1.0)), {}, "determines no ghost value"),
        (torch.zeros(3), P.Grid(3), {"axis": 1}, "axis must be a whole number from 0 to 0; got 1"),
        (torch.zeros(3, 3), P.Grid((3, 3)), {"axis": -1}, "axis must be a whole number from 0 to 1; got -1"),
        (torch.zeros(3, 3), P.Grid((3, 3)), {"axis": "x"}, "axis must be a whole number from 0 to 1; got 'x'"),
        (torch.zeros(3), P.Grid(3), {"accuracy": 3}, "accuracy must be 2, 4 or 6; got 3"),
        (torch.zeros(3), P.Grid(3), {"accuracy": 2.0}, "accuracy must be 2, 4 or 6; got 2.0"),
        (torch.zeros(3), P.Grid(3, boundary=P.Dirichlet(torch.zeros(2))), {}, r"axes \(2,\) before .* field .* \(\)"),
        (torch.zeros(3, 4), P.Grid(4, boundary=P.Neumann(torch.ones(2))), {}, r"axes \(2,\) before .* field .* \(3,\)"),
        (torch.zeros(3), P.Grid(3), {"width": -1}, "width must be a whole number of at least 0; got -1"),
        (torch.zeros(3), P.Grid(3), {"width": 1.0}, "width must be a whole number of at least 0; got 1.0"),
    ],
)
def test_what_is_refused(u, grid, options, match):
    with pytest.raises(ValueError, match=match):
        P.pad(u, grid, **{"width": 1, **options})


@pytest.mark.parametrize("shape", [4, (4, 3)], ids=["line", "plane"])
@pytest.mark.parametrize("function", [False, True], ids=["tensor", "function"])
def test_complex_values_of_complex_fields_alone(function, shape):
    face = torch.ones(P.Grid(shape).shape[1:], dtype=torch.complex128) * (2 + 3j)
    grid = P.Grid(
        shape,
        boundary=(
            (P.Dirichlet((lambda x, t: face) if function else face), P.Neumann()),
            *([] if shape == 4 else [P.Periodic()]),
        ),
    )
    padded = P.pad(torch.zeros(grid.shape, dtype=torch.complex128), grid, 1, axis=0)
    assert torch.equal(padded[0], 2.0 * face)
    with pytest.raises(TypeError, match=r"g at side 0 of axis 0 is complex, torch.complex128, and the field is real"):
        P.pad(torch.zeros(grid.shape, dtype=F64), grid, 1, axis=0)


def test_a_list_is_no_field():
    with pytest.raises(TypeError, match="u must be a tensor; got list"):
        P.pad([1.0, 2.0, 3.0], P.Grid(3), 1)
