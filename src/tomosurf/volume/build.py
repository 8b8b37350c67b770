"""Series to Volume: the second stage."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomosurf.data.geometry import Geometry
from tomosurf.data.series import Instance, Series
from tomosurf.data.volume import LedgerEntry, Policy, Volume
from tomosurf.errors import InputRefused
from tomosurf.progress import Progress, silent
from tomosurf.volume.decode import is_lossy
from tomosurf.volume.repair import resample
from tomosurf.volume.slices import cells_of
from tomosurf.volume.steps import carried
from tomosurf.volume.tolerances import DEFAULT_TOLERANCES, Tolerances
from tomosurf.volume.values import IDENTITY, Assembly, padded, stays_int16, stored_values
from tomosurf.volume.verdict import Stack, judge

STAGE = "volume"


def examine(
    series: Series, tolerances: Tolerances = DEFAULT_TOLERANCES, policy: Policy = "strict"
) -> Geometry:
    """The grid that :func:`build` would give, from headers alone.

    Raises:
        InputRefused: the slices aren't one uniform, complete stack, nor one that ``policy`` allows to repair.
    """
    return judge(series, tolerances, policy).geometry


def build(
    series: Series,
    progress: Progress = silent,
    *,
    policy: Policy = "strict",
    tolerances: Tolerances = DEFAULT_TOLERANCES,
) -> Volume:
    """Read the slices of ``series`` into one array in modality units.

    int16 where every value is a whole number and fits, else float32. Shape (columns, rows, slices),
    Fortran-ordered: slices are contiguous. Peak memory is the volume and one slice, plus a bool a voxel
    where there is padding; a volume that turns out not to fit int16 is copied once to float32, and a repaired
    one is built beside its acquired slices.

    Args:
        series: as ingest gives it; the files are read now.
        progress: told after every slice, as stage "volume".
        policy: "repair" interpolates missing and unevenly placed slices and says so in the ledger.
        tolerances: see :class:`tomosurf.volume.tolerances.Tolerances`.

    Raises:
        InputRefused: the slices aren't one uniform, complete stack, nor one that ``policy`` allows to repair;
            or one can't be decoded.
    """
    stack = judge(series, tolerances, policy)
    instances = stack.instances
    count = len(instances)
    columns, rows, _ = stack.geometry.shape
    assembly = Assembly((count, rows, columns), whole_numbers=stays_int16(instances))
    read = cells_of(instances, lambda k: assembly.target(k, instances[k].pixels))
    try:
        with closing(read):
            for k, cells in enumerate(read):
                _add_slice(assembly, k, instances[k], cells)
                progress(STAGE, (k + 1) / count)
    except InputRefused as error:
        error.series = series.digest
        raise
    array, padding = assembly.array, assembly.padding
    if stack.needs_repair:
        array, padding = resample(array, padding, stack.places)
    return Volume(
        geometry=stack.geometry,
        array=array.T,
        modality=series.modality,
        unit=_unit(series),
        ledger=stack.ledger + _ledger(stack, padding),
        padding=None if padding is None else padding.T,
        series=series.digest,
        laterality=series.laterality,
        phase=series.phase,
    )


def _add_slice(assembly: Assembly, k: int, instance: Instance, cells: NDArray[Any]) -> None:
    """Put the cells of one slice into place as values."""
    layout = instance.pixels
    keep_cells = instance.padding is not None and layout.bits_stored < layout.bits_allocated
    values = stored_values(cells.copy() if keep_cells else cells, layout)
    mask = padded(cells, values, instance)
    if mask is not None:
        assembly.pad(k, mask)
    assembly.put(k, values, instance.rescale or IDENTITY, layout.bits_stored)


def _unit(series: Series) -> str:
    """ "HU" for CT unless Rescale Type names another unit (PS3.3 C.11.1.1.2)."""
    kind = series.instances[0].rescale.kind if series.instances[0].rescale else ""
    return "HU" if series.modality == "CT" and kind in ("", "HU") else ""


def _ledger(stack: Stack, padding: NDArray[np.bool_] | None) -> tuple[LedgerEntry, ...]:
    """What is odd about the slices' values; ``padding`` is the volume's, (k, rows, columns)."""
    lossy = [n for n, i in enumerate(stack.instances) if is_lossy(i)]
    inverse = [n for n, i in enumerate(stack.instances) if i.pixels.photometric == "MONOCHROME1"]
    empty = () if padding is None else tuple(k for k, mask in enumerate(padding) if mask.any())
    found = (
        ("lossy_compression", "compressed with loss", carried(stack.places, lossy)),
        ("monochrome1", "MONOCHROME1, values left as stored", carried(stack.places, inverse)),
        ("pixel_padding", "voxels without a measurement are marked", empty),
    )
    return tuple(LedgerEntry(code, message, slices) for code, message, slices in found if slices)
