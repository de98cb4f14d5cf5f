import tomllib

import pytest

from kutta.surrogate_study.folder import Folder
from kutta.surrogate_study.settings import settings_of
from kutta.surrogate_study.study import study
from tests.surrogate_study._files import BURGERS, DARCY


@pytest.fixture(scope="session")
def darcy(tmp_path_factory):
    return study(settings_of(tomllib.loads(DARCY)), Folder(tmp_path_factory.mktemp("darcy")))


@pytest.fixture(scope="session")
def burgers(tmp_path_factory):
    return study(settings_of(tomllib.loads(BURGERS)), Folder(tmp_path_factory.mktemp("burgers")))


@pytest.fixture(scope="session", params=["darcy", "burgers"])
def done(request):
    return request.getfixturevalue(request.param)
