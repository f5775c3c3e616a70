"""What the stages that run a network share."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

STEPS = """
import resource
import sys

import torch

from mmbench.models.device import choose_device

if sys.argv[1] == "keep":
    choose_device("cpu", 1)


def step():
    kept = [torch.ones(size << 18) for size in (5, 40, 9)]
    return [tensor * 2 for tensor in kept]


for _ in range(10):
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be told to keep memory")
def test_memory_that_is_freed_is_kept_for_the_next_step() -> None:
    """Page faults of ten steps, each of 108 MiB in tensors and as much of their doubles: 55,296 pages."""
    fetched = {
        how: int(subprocess.run([sys.executable, "-c", STEPS, how], capture_output=True, text=True, check=True).stdout)
        for how in ("keep", "give back")
    }
    assert fetched["keep"] < 27_648  # half of one step: now and then a tensor finds no hole that is large enough
    assert fetched["give back"] > 100_000
