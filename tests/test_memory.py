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
    for _ in range(50):
        x = torch.ones(131072, dtype=torch.float64)
        y = x + x
        del x, y
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

torch.set_num_threads(1)
faults()
first = faults()
keep_freed_memory()
faults()
print(first, faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other allocators are left as they are")
def test_blocks_are_handed_back_once_and_then_kept():
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("MALLOC_", "GLIBC_", "LD_"))}
    run = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True, env=environment)
    before, after = map(int, run.stdout.split())
    assert before > 10_000
    assert after < 100
