import pytest

from kutta.demo import digits, digits_flow, hard_constraints, hare_lynx, sampling, surrogates
from kutta.demo.classifier import Settings
from kutta.demo.report import Content, content_of
from kutta.surrogate_study.settings import settings_of
from kutta.surrogate_study.study import Study as Surrogates

FEW_EPOCHS = Settings(epochs=5, tolerance=1e-5)
SMALL_NETWORKS = {
    "title": "Darcy flow",
    "data": {"family": "darcy", "points": 16, "training": 32, "validation": 8, "test": 8},
    "training": {"steps": 20, "batch": 8, "lr": 5e-3},
    "networks": {
        "FNO": {"kind": "FNO", "modes": [6, 6], "width": 8, "layers": 2, "lift": 16, "project": 16},
        "DeepONet": {"kind": "FieldDeepONet", "terms": 16},
    },
    "comparison": {"problems": 4, "rounds": 1},
}
SMALL_CONSTRAINTS = hard_constraints.Settings(
    points=16, times=6, steps=4, batch=2, modes=4, width=8, functions=4, experts=2, tests=3
)
SMALL_FLOW = digits_flow.Settings(width=64, depth=2, steps=120, average=0.95)


@pytest.fixture(scope="session")
def hares() -> hare_lynx.Study:
    with digits.one_thread():
        return hare_lynx.study(seed=0, draws=200)


@pytest.fixture(scope="session")
def images() -> digits.Study:
    return digits.study(seed=0, settings=FEW_EPOCHS)


@pytest.fixture(scope="session")
def samples() -> sampling.Study:
    return sampling.study(seed=0, settings=SMALL_FLOW, samples=100)


@pytest.fixture(scope="session")
def networks(tmp_path_factory) -> Surrogates:
    return surrogates.study(tmp_path_factory.mktemp("networks"), 0, settings_of(SMALL_NETWORKS))


@pytest.fixture(scope="session")
def constrained() -> hard_constraints.Study:
    return hard_constraints.study(0, SMALL_CONSTRAINTS)


@pytest.fixture(scope="session")
def content(hares, images, samples, networks, constrained) -> Content:
    return content_of(hares, images, samples, networks, constrained, seed=0, wall=1.0)


@pytest.fixture(autouse=True)
def one_thread():
    with digits.one_thread():
        yield
