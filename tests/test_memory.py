"""Memory that is freed is kept for what comes next."""

import os
import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource, torch
from kutta.memory import keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(5):
        fields = [torch.ones(131072, dtype=torch.float64) for _ in range(32)]
        del fields
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

torch.set_num_threads(1)
keep_freed_memory()
faults()
print(faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other allocators are left as they are")
def test_what_is_freed_is_not_handed_back():
    """Without it thousands of pages are most often, how many depends on what has been freed before."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("MALLOC_", "GLIBC_", "LD_"))}
    run = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True, env=environment)
    assert int(run.stdout) < 100
