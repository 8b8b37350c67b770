"""A loop that was kept on disk isn't used when a file that it was compiled from has changed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import tomosurf

ASK = """
import numpy as np
from tomosurf.surface.confidence import _widths
field = np.zeros((4, 4, 4), np.float32) + np.linspace(4.5, -4.5, 4, dtype=np.float32)[:, None, None]
starts, along, widths = np.full((1, 3), 1.5), np.array([[0.1, 0.0, 0.0]]), np.empty(1, np.float32)
_widths(field, starts, along, 0.1, widths)
print(float(widths[0]), sum(_widths.stats.cache_hits.values()))
"""


NAMED = """
import numpy as np
from tomosurf.surface import bends
links, flags = np.full((4, 3), -1, np.int32), np.zeros((2, 3), bool)
groups = bends.groups_of((bends.NAME(links, flags, flags),))
print(len(groups.order), sum(bends._unite.stats.cache_hits.values()))
"""


def ask(folder: Path, question: str = ASK) -> tuple[float, int]:
    """What a copy of the package says in a process of its own, and how many loops it took from disk."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("NUMBA_CACHE")}
    environment |= {"PYTHONPATH": str(folder), "HOME": str(folder)}
    told = subprocess.run(
        [sys.executable, "-c", question], env=environment, capture_output=True, text=True, check=True
    )
    width, hits = told.stdout.split()
    return float(width), int(hits)


def test_a_change_in_a_called_file_is_seen(tmp_path: Path) -> None:
    package = Path(tomosurf.__file__).parent
    shutil.copytree(package, tmp_path / "tomosurf", ignore=shutil.ignore_patterns("__pycache__"))
    first, hits = ask(tmp_path)
    assert hits == 0
    assert ask(tmp_path) == (first, 1)
    surface = tmp_path / "tomosurf" / "surface"
    with (surface / "access.py").open("a", encoding="utf-8") as unrelated:
        unrelated.write("\nELSEWHERE = 1\n")
    assert ask(tmp_path) == (first, 1)
    text = (surface / "trilinear.py").read_text(encoding="utf-8")
    changed = text.replace("np.float64(low", "2 * np.float64(low")
    assert changed != text
    (surface / "trilinear.py").write_text(changed, encoding="utf-8")
    steeper, hits = ask(tmp_path)
    assert hits == 0
    assert steeper < 0.6 * first  # a field twice as steep


def test_a_loop_whose_argument_has_another_name_now_is_compiled_again(tmp_path: Path) -> None:
    """Numba would read what was kept before it looks whether it still counts, and fail on the name that is gone."""
    package = Path(tomosurf.__file__).parent
    shutil.copytree(package, tmp_path / "tomosurf", ignore=shutil.ignore_patterns("__pycache__"))
    before = NAMED.replace("NAME", "Stride")
    assert ask(tmp_path, before) == (0, 0)
    assert ask(tmp_path, before) == (0, 1)
    for name in ("bends.py", "terraces.py"):
        file = tmp_path / "tomosurf" / "surface" / name
        file.write_text(file.read_text(encoding="utf-8").replace("Stride", "Paces"), encoding="utf-8")
    assert ask(tmp_path, NAMED.replace("NAME", "Paces")) == (0, 0)
