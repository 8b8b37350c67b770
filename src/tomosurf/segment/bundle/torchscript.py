"""Tensors out of a TorchScript archive, without its code.

Such an archive is a ZIP of code, raw numbers, and a table that says which module holds which numbers under
which name. ``torch.jit.load`` compiles the code and may run it. Only the table and the numbers are read here:
the network itself is built from the bundle's configuration, and must take exactly these tensors.

Reference: torch/csrc/jit/docs/serialization.md in PyTorch's sources.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

import torch

from tomosurf.errors import ModelError
from tomosurf.segment.nnunet.checkpoint import Numbers, tensor_of
from tomosurf.segment.nnunet.opcodes import Call, Name, described

LARGEST_TABLE = 64 << 20
"""Bytes of the table; the Model Zoo's are below 1 MB."""

DEEPEST = 60
"""Modules in modules, at most."""


def torchscript_tensors(path: Path, name: str) -> dict[str, torch.Tensor]:
    """Parameters and buffers of the archive's module, by their names in its state dict.

    Raises:
        ModelError: it is no such archive, is damaged, or its table holds what no module does.
    """
    try:
        with ZipFile(path) as archive:
            tables = [n for n in archive.namelist() if n.endswith("/data.pkl") and n.count("/") == 1]
            if len(tables) != 1 or archive.getinfo(tables[0]).file_size > LARGEST_TABLE:
                raise ModelError("it has no table of contents of a sensible size")
            root = tables[0].removesuffix("data.pkl")
            if f"{root}byteorder" in archive.namelist():
                with archive.open(f"{root}byteorder") as order:
                    little = order.read(16) == b"little"
            else:
                little = True
            if not little:
                raise ModelError("its numbers aren't little-endian")
            found: dict[str, torch.Tensor] = {}
            _collect(described(archive.read(tables[0])), Numbers(archive, root), found, ())
    except (BadZipFile, OSError, NotImplementedError, EOFError) as error:
        raise ModelError(f"{name} is no TorchScript archive, or is damaged") from error
    except ModelError as error:
        raise ModelError(f"{name}: {error}") from error
    if not found:
        raise ModelError(f"{name} holds no tensors")
    return found


def _collect(module: Any, numbers: Numbers, found: dict[str, torch.Tensor], place: tuple[str, ...]) -> None:
    """Put the tensors of a module, and of those in it, into ``found``."""
    if len(place) > DEEPEST:
        raise ModelError("its modules are nested too deep")
    if not _is_module(module) or not isinstance(module.state, dict):
        raise ModelError("its table doesn't hold a module")
    for key, value in module.state.items():
        if _is_module(value):
            _collect(value, numbers, found, (*place, str(key)))
        elif isinstance(value, Call) and isinstance(value.what, Name) and value.what.module == "torch._utils":
            found[".".join((*place, str(key)))] = tensor_of(numbers, value)


def _is_module(value: Any) -> bool:
    return (
        isinstance(value, Call)
        and isinstance(value.what, Name)
        and value.what.module.startswith("__torch__.")
    )
