"""What all tests share: what they compile is thrown away, and needs a compiler."""

import os
import shutil
import tempfile

import pytest


def pytest_configure(config):
    """Keep compiled code apart from the user's."""
    config.kernels = tempfile.mkdtemp(prefix="kutta-kernels-")
    os.environ["KUTTA_CACHE"] = config.kernels
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = os.path.join(config.kernels, "inductor")


def pytest_unconfigure(config):
    """Throw them away."""
    shutil.rmtree(config.kernels, ignore_errors=True)


def pytest_collection_modifyitems(items):
    """Skip the examples of engines that cannot run here."""
    from kutta.solvers.engines.kernel.build import CompilerMissing, compiler

    try:
        compiler()
    except CompilerMissing as missing:
        for item in items:
            if item.name.endswith(("kernel.engine.Kernel", "compiled.Compiled")):
                item.add_marker(pytest.mark.skip(reason=str(missing)))
