"""nnU-Net's checkpoint_final.pth, read as data: a ZIP of a table of contents and raw numbers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any
from zipfile import ZIP_STORED, BadZipFile, ZipFile

import torch

from tomosurf.errors import ModelError
from tomosurf.segment.nnunet.opcodes import Call, Name, described

MOST_CONTENTS = 256 << 20
"""Largest table of contents in bytes; nnU-Net's own are below 10 MB."""

STORAGES = {
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}

SECOND_NAME = re.compile(r"\.all_modules\.([0-9])\.")
"""Each convolution and normalisation is listed by its place, too; of all that is there only these hold numbers."""


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """What importing needs of a checkpoint; ``mirror_axes`` are of the network's input, () for none."""

    weights: dict[str, torch.Tensor]
    mirror_axes: tuple[int, ...]
    configuration: str
    trainer: str


def read_checkpoint(path: Path) -> Checkpoint:
    """The checkpoint's weights, as they lie in the file, and what it says of its training.

    Only the numbers of ``network_weights`` are read, not the optimiser's. Peak memory: the weights twice.

    Raises:
        ModelError: the file can't be read, isn't such a checkpoint, contradicts itself, or would run code.
    """
    where = f"{path.parent.name}/{path.name}"
    try:
        with ZipFile(path) as archive:
            return _read(archive)
    except BadZipFile as error:
        raise ModelError(
            f"{where} is no checkpoint that nnU-Net v2 writes (a ZIP by torch.save); copy the file again"
        ) from error
    except OSError as error:
        raise ModelError(f"{where} can't be read ({error.strerror})") from error
    except ModelError as error:
        raise ModelError(f"{where}: {error}") from error


class Numbers:
    """The raw numbers in the archive, each run of them read once."""

    def __init__(self, archive: ZipFile, root: str) -> None:
        self.archive = archive
        self.root = root
        self.known: dict[str, torch.Tensor] = {}

    def read(self, key: str, dtype: torch.dtype, count: int) -> torch.Tensor:
        """``count`` numbers under their key."""
        if key not in self.known:
            self.known[key] = self._read(f"{self.root}data/{key}", dtype, count)
        found = self.known[key]
        if found.dtype != dtype or found.numel() != count:
            raise ModelError("two tensors disagree on the numbers that they share")
        return found

    def _read(self, name: str, dtype: torch.dtype, count: int) -> torch.Tensor:
        try:
            entry = self.archive.getinfo(name)
        except KeyError as error:
            raise ModelError("a tensor's numbers are missing; the file is cut short") from error
        if entry.compress_type != ZIP_STORED or entry.file_size != count * dtype.itemsize:
            raise ModelError("a tensor's numbers aren't as many as it says")
        if not count:
            return torch.zeros(0, dtype=dtype)
        return torch.frombuffer(bytearray(self.archive.read(entry)), dtype=dtype)


def _read(archive: ZipFile) -> Checkpoint:
    contents = [name for name in archive.namelist() if name.endswith("/data.pkl") and name.count("/") == 1]
    if len(contents) != 1:
        raise ModelError("not written by torch.save: it has no table of contents")
    root = contents[0].removesuffix("data.pkl")
    if archive.getinfo(contents[0]).file_size > MOST_CONTENTS:
        raise ModelError("its table of contents is too large")
    if f"{root}byteorder" in archive.namelist() and archive.read(f"{root}byteorder") != b"little":
        raise ModelError("its numbers aren't little-endian")
    top = _entries(described(archive.read(contents[0])))
    if top is None or "network_weights" not in top:
        raise ModelError("no nnU-Net checkpoint: it holds no network_weights")
    named = _entries(top["network_weights"])
    if not named:
        raise ModelError("network_weights holds no tensors")
    started = _entries(top.get("init_args")) or {}
    numbers = Numbers(archive, root)
    return Checkpoint(
        {_name(name): tensor_of(numbers, tensor) for name, tensor in named.items()},
        _axes(top.get("inference_allowed_mirroring_axes")),
        _text(started.get("configuration"), "init_args.configuration"),
        _text(top.get("trainer_name"), "trainer_name"),
    )


def _entries(value: Any) -> dict[Any, Any] | None:
    """The entries of a dict, plain or ordered."""
    if isinstance(value, dict):
        return value
    if isinstance(value, Call) and value.what == Name("collections", "OrderedDict"):
        return value.entries
    return None


def _text(value: Any, what: str) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    raise ModelError(f"{what} is no text")


def _axes(value: Any) -> tuple[int, ...]:
    if value is None:
        return ()
    if not isinstance(value, tuple | list) or not all(type(a) is int and 0 <= a <= 2 for a in value):
        raise ModelError("inference_allowed_mirroring_axes are axes 0 to 2")
    return tuple(sorted(set(value)))


def _name(name: Any) -> str:
    """A parameter's name without what torch.compile and data parallelism put before it."""
    if not isinstance(name, str):
        raise ModelError("a tensor's name is no text")
    own: str = name
    for prefix in ("module.", "_orig_mod.", "module."):
        own = own.removeprefix(prefix)
    return own


def tensor_of(numbers: Numbers, value: Any) -> torch.Tensor:
    """The tensor that a description of one stands for.

    Raises:
        ModelError: it isn't described as torch does, or not all of its numbers are there.
    """
    if isinstance(value, Call) and value.what == Name("torch._utils", "_rebuild_parameter"):
        value = value.arguments[0] if isinstance(value.arguments, tuple) and value.arguments else None
    if not isinstance(value, Call) or value.what != Name("torch._utils", "_rebuild_tensor_v2"):
        raise ModelError("network_weights holds something that is no tensor")
    try:
        outside, offset, shape, stride = value.arguments[:4]
        kind, storage, key, _, count = outside.identity
    except (AttributeError, TypeError, ValueError) as error:
        raise ModelError("a tensor is described in a way that torch doesn't") from error
    dtype = STORAGES.get(storage.name) if isinstance(storage, Name) and storage.module == "torch" else None
    if kind != "storage" or dtype is None or not isinstance(key, str) or not key.isalnum():
        raise ModelError("a tensor's numbers are stored in a way that torch doesn't")
    if not _whole([offset, count]) or not _whole(shape) or not _whole(stride) or len(shape) != len(stride):
        raise ModelError("a tensor's shape isn't made of whole numbers")
    last = offset + sum((n - 1) * step for n, step in zip(shape, stride, strict=True))
    if prod(shape) and last >= count:
        raise ModelError("a tensor is larger than its numbers")
    return _view(numbers.read(key, dtype, count), offset, tuple(shape), tuple(stride))


def _whole(values: Any) -> bool:
    return isinstance(values, tuple | list) and all(type(n) is int and 0 <= n < 1 << 40 for n in values)


def _view(
    numbers: torch.Tensor, offset: int, shape: tuple[int, ...], stride: tuple[int, ...]
) -> torch.Tensor:
    if not prod(shape):
        return torch.zeros(shape, dtype=numbers.dtype)
    if prod(shape) > numbers.numel():
        raise ModelError("a tensor is larger than its numbers")
    return numbers.as_strided(shape, stride, offset).contiguous()


def network_tensors(weights: Mapping[str, torch.Tensor], levels: int) -> dict[str, torch.Tensor]:
    """The tensors that inference needs, under our names, floating point as float32.

    nnU-Net lists the encoder twice and each layer under two names; the lists must agree. Heads at coarser
    levels served training only.

    Raises:
        ModelError: two lists of the same tensor differ.
    """
    kept: dict[str, torch.Tensor] = {}
    for name, tensor in weights.items():
        own = name.removeprefix("decoder.") if name.startswith("decoder.encoder.") else name
        if own.startswith("decoder.seg_layers."):
            if not own.startswith(f"decoder.seg_layers.{levels - 2}."):
                continue
            own = own.replace(f"seg_layers.{levels - 2}", "head")
        own = SECOND_NAME.sub(lambda found: ".conv." if found[1] == "0" else ".norm.", own)
        found = tensor.to(torch.float32) if tensor.is_floating_point() else tensor
        if own in kept and not torch.equal(kept[own], found):
            raise ModelError(f"the checkpoint holds two different tensors for {own}")
        kept[own] = found
    return kept
