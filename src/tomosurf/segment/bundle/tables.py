"""Small tables of whole numbers in files that torch.save wrote, read without building what the file describes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

import numpy as np

from tomosurf.errors import ModelError
from tomosurf.segment.nnunet.checkpoint import Numbers, tensor_of
from tomosurf.segment.nnunet.opcodes import Call, Name, described

LARGEST = 1 << 20
"""Bytes of such a file's table of contents; a topology of DiNTS has 10 kB."""

FORMATS = frozenset({"f4", "f8", "i1", "i2", "i4", "i8", "u1", "b1"})


def table_in(path: Path, name: str, key: str) -> list[Any]:
    """The numbers under ``key``, as nested lists of whole numbers.

    Raises:
        ModelError: the file is damaged, holds no such table, or its numbers aren't whole.
    """
    try:
        with ZipFile(path) as archive:
            tables = [n for n in archive.namelist() if n.endswith("/data.pkl") and n.count("/") == 1]
            if len(tables) != 1 or archive.getinfo(tables[0]).file_size > LARGEST:
                raise ModelError("it has no table of contents of a sensible size")
            whole = described(archive.read(tables[0]))
            entries = whole.entries if isinstance(whole, Call) else whole
            if not isinstance(entries, Mapping) or key not in entries:
                raise ModelError("it lacks a table that the configuration names")
            values = _array(entries[key], Numbers(archive, tables[0].removesuffix("data.pkl")))
    except (BadZipFile, OSError, NotImplementedError, EOFError) as error:
        raise ModelError(f"{name} is no file of torch's, or is damaged") from error
    except ModelError as error:
        raise ModelError(f"{name}: {error}") from error
    whole_numbers = values.astype(np.int64)
    if not np.array_equal(whole_numbers, values):
        raise ModelError(f"{name}: the numbers aren't whole")
    table: list[Any] = whole_numbers.tolist()
    return table


def _array(value: Any, numbers: Numbers) -> Any:
    """A numpy array or a tensor, from its description."""
    if not isinstance(value, Call) or not isinstance(value.what, Name):
        raise ModelError("a table is no array")
    if value.what.module == "torch._utils":
        return tensor_of(numbers, value).numpy()
    try:
        _, shape, kind, column_first, raw = value.state
        code = kind.arguments[0]
        content = raw.arguments[0].encode("latin-1") if isinstance(raw, Call) else raw
        if value.what.name != "_reconstruct" or code not in FORMATS or not isinstance(content, bytes):
            raise ModelError("a table is no array of numbers")
        flat = np.frombuffer(content, np.dtype(code).newbyteorder("<"))
        return flat.reshape(shape, order="F" if column_first else "C")
    except (TypeError, ValueError, AttributeError, IndexError, UnicodeEncodeError) as error:
        raise ModelError("a table is described in a way that numpy doesn't") from error
