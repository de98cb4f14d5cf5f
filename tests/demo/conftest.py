import pytest

from kutta.demo import digits, digits_flow, hare_lynx, sampling
from kutta.demo.classifier import Settings
from kutta.demo.report import Content, content_of

FEW_EPOCHS = Settings(epochs=5, tolerance=1e-5)
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
def content(hares, images, samples) -> Content:
    return content_of(hares, images, samples, seed=0, wall=1.0)


@pytest.fixture(autouse=True)
def one_thread():
    with digits.one_thread():
        yield
