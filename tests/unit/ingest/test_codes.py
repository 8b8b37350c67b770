from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tomosurf.data import codes

ROOT = Path(__file__).parents[3]
STAGES = [
    p
    for stage in ("ingest", "volume", "deidentify")
    for p in sorted((ROOT / "src/tomosurf" / stage).glob("*.py"))
]
OTHERS = ("plan.py", "overlap.py", "segment/network.py", "segment/localise/gates.py")
SOURCES = [*STAGES, *(ROOT / "src/tomosurf" / name for name in OTHERS)]


def test_the_page_is_the_table() -> None:
    page = (ROOT / "docs/reference/ingest-codes.md").read_text(encoding="utf-8")
    assert page == codes.page(), "write codes.page() to docs/reference/ingest-codes.md"


def test_every_code_in_the_table_is_used_and_named_once() -> None:
    strings = {
        node.value
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    assert set(codes.CODES) <= strings
    assert list(codes.CODES) == sorted(codes.CODES)


def test_codes_that_are_raised_stand_in_the_table() -> None:
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in (
                "refusal",
                "notice",
                "LedgerEntry",
            ):
                first = node.args[0]
                if isinstance(first, ast.Constant):
                    assert first.value in codes.CODES, f"{path.name}:{node.lineno}"


def test_a_refusal_carries_the_cure() -> None:
    error = codes.refusal("truncated", "cut", files=("a",), attribute="PixelData", series="s")
    assert (error.advice, error.files, error.attribute) == (
        codes.CODES["truncated"].cure,
        ("a",),
        "PixelData",
    )
    with pytest.raises(KeyError):
        codes.refusal("no such code", "")
