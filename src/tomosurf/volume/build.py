"""Series to Volume: the second stage."""

from __future__ import annotations

from tomosurf.data.geometry import Geometry
from tomosurf.data.series import Instance, Series
from tomosurf.data.volume import LedgerEntry, Volume
from tomosurf.errors import InputRefused
from tomosurf.progress import Progress, silent
from tomosurf.volume.decode import raw_values
from tomosurf.volume.values import IDENTITY, Assembly, padded, stays_int16, stored_values
from tomosurf.volume.verdict import DEFAULT_TOLERANCES, Tolerances, judge

STAGE = "volume"


def examine(series: Series, tolerances: Tolerances = DEFAULT_TOLERANCES) -> Geometry:
    """The grid that :func:`build` would give, from headers alone.

    Raises:
        InputRefused: the slices aren't one uniform, complete stack.
    """
    return judge(series, tolerances).geometry


def build(
    series: Series, progress: Progress = silent, *, tolerances: Tolerances = DEFAULT_TOLERANCES
) -> Volume:
    """Read the slices of ``series`` into one array in modality units.

    int16 where every value is a whole number and fits, else float32. Shape (columns, rows, slices),
    Fortran-ordered: slices are contiguous. Peak memory is the volume and one slice, plus a bool a voxel
    where there is padding; a volume that turns out not to fit int16 is copied once to float32.

    Args:
        series: as ingest gives it; the files are read now.
        progress: told after every slice, as stage "volume".
        tolerances: see :class:`tomosurf.volume.verdict.Tolerances`.

    Raises:
        InputRefused: the slices aren't one uniform, complete stack, or one can't be decoded.
    """
    stack = judge(series, tolerances)
    instances = stack.instances
    columns, rows, count = stack.geometry.shape
    assembly = Assembly((count, rows, columns), whole_numbers=stays_int16(instances))
    for k, instance in enumerate(instances):
        try:
            _add_slice(assembly, k, instance)
        except InputRefused as error:
            error.series = series.digest
            raise
        progress(STAGE, (k + 1) / count)
    return Volume(
        geometry=stack.geometry,
        array=assembly.array.T,
        modality=series.modality,
        unit=_unit(series),
        ledger=stack.ledger + _ledger(instances, assembly),
        padding=None if assembly.padding is None else assembly.padding.T,
        series=series.digest,
        laterality=series.laterality,
    )


def _add_slice(assembly: Assembly, k: int, instance: Instance) -> None:
    """Decode one slice into its place."""
    layout = instance.pixels
    cells = raw_values(instance, assembly.target(k, layout))
    keep_cells = instance.padding is not None and layout.bits_stored < layout.bits_allocated
    values = stored_values(cells.copy() if keep_cells else cells, layout)
    mask = padded(cells, values, instance)
    if mask is not None:
        assembly.pad(k, mask)
    assembly.put(k, values, instance.rescale or IDENTITY)


def _unit(series: Series) -> str:
    """ "HU" for CT unless Rescale Type names another unit (PS3.3 C.11.1.1.2)."""
    kind = series.instances[0].rescale.kind if series.instances[0].rescale else ""
    return "HU" if series.modality == "CT" and kind in ("", "HU") else ""


def _ledger(instances: tuple[Instance, ...], assembly: Assembly) -> tuple[LedgerEntry, ...]:
    """What is odd about the slices' values."""
    padding = [] if assembly.padding is None else [k for k, m in enumerate(assembly.padding) if m.any()]
    found = (
        ("lossy_compression", "compressed with loss", [k for k, i in enumerate(instances) if i.lossy]),
        (
            "monochrome1",
            "MONOCHROME1, values left as stored",
            [k for k, i in enumerate(instances) if i.pixels.photometric == "MONOCHROME1"],
        ),
        ("pixel_padding", "voxels without a measurement are marked", padding),
    )
    return tuple(LedgerEntry(code, message, tuple(slices)) for code, message, slices in found if slices)
