from __future__ import annotations

import platform
import subprocess
import sys

import pytest

GROWING = """
import resource, sys
import numpy as np
from tomosurf.surface.freed_memory import keep_freed_memory
if sys.argv[1] == "keep":
    keep_freed_memory()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for size in range(200, 3900, 100):
    np.ones(size << 10, np.uint8)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def pages_handed_out(how: str) -> int:
    return int(subprocess.run([sys.executable, "-c", GROWING, how], capture_output=True, check=True).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="is about glibc")
def test_what_is_freed_is_taken_again() -> None:
    """Ever larger blocks up to 3.8 MB, 75 MB together: their pages are handed out once, not every time."""
    largest = 3800 // 4
    assert pages_handed_out("keep") < 2 * largest < 10 * largest < pages_handed_out("let go")
