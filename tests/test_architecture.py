"""The rules of the house that a machine can hold."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "src").rglob("*.py")) + sorted((ROOT / "flows").rglob("*.py"))


def test_arrows_point_inward():
    script = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_no_pickle_no_eval_no_silent_excepts(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] + [getattr(node, "module", "") or ""]
            assert not {"pickle", "dill", "joblib", "cloudpickle"} & {name.split(".")[0] for name in names}
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in {"eval", "exec", "compile"}
        if isinstance(node, ast.ExceptHandler):
            assert node.type is not None
            assert not all(isinstance(statement, ast.Pass) for statement in node.body)
        if "testing" not in path.parts:
            assert not isinstance(node, ast.Assert), "the library raises, it doesn't assert"


def test_ras_is_spoken_in_two_files_only():
    """The matrix that turns LPS into RAS, under whatever name, is built nowhere else."""
    speakers = {
        path.relative_to(ROOT / "src" / "tomosurf").as_posix()
        for path in (ROOT / "src").rglob("*.py")
        if "diag([-1" in path.read_text(encoding="utf-8").replace(" ", "")
    }
    assert speakers <= {"export/nifti.py", "segment/prepare/model_grid.py"}
