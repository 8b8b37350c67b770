"""``tomosurf segment``: one image file to a label map."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from tomosurf.commands.run import add_network
from tomosurf.console import Console
from tomosurf.whole_file import whole_file

HELP = "segment one NIfTI, NRRD or MHA volume into a label map"


def configure(parser: ArgumentParser) -> None:
    """Arguments of ``segment``."""
    parser.add_argument(
        "volume",
        type=Path,
        nargs="+",
        help=".nii, .nii.gz, .nrrd, .mha or .mhd; several on one grid for a model that takes several channels",
    )
    parser.add_argument("--model", required=True, metavar="NAME_OR_DIR", help="see `tomosurf models`")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the label map, .nii.gz")
    add_network(parser)


def execute(arguments: Namespace, console: Console) -> int:
    """Segment; exit code 4 when a structure wasn't found.

    Raises:
        ConfigError: the output isn't named .nii.gz.
        InputRefused: the volume can't be read or placed.
    """
    from tomosurf.config import NetworkMethod
    from tomosurf.errors import ConfigError
    from tomosurf.image_file import read_volume
    from tomosurf.isolated import segment_in_child
    from tomosurf.pipeline import clean_up
    from tomosurf.refine.refine import refine
    from tomosurf.registry import EXPORTERS, SEGMENTERS
    from tomosurf.segment.model.catalogue import find_model
    from tomosurf.segment.model.spec import load_spec
    from tomosurf.segment.options import SegmentOptions

    exporter = EXPORTERS.load("nifti-labels")
    if not arguments.output.name.endswith(exporter.suffix):
        raise ConfigError(f"a label map is written as {exporter.suffix}; name the output so")
    spec = load_spec(find_model(arguments.model))
    modality = "" if spec.modality == "any" else spec.modality
    volume, *others = (read_volume(path, modality) for path in arguments.volume)
    method = NetworkMethod(method="network", model=arguments.model)
    with console.progress() as progress:
        options = SegmentOptions(arguments.device, precision=arguments.precision, mirror=arguments.mirror)
        segment = segment_in_child if arguments.isolated else SEGMENTERS.load("network")
        found = segment(volume, method, options, progress, others)
        found = refine(found, clean_up(method, {}))
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(arguments.output) as partial:
        exporter.write(found, partial)
    volumes = {
        s.name: float((found.labels == s.label).sum() * found.geometry.voxel_volume) for s in found.segments
    }
    console.emit(
        {"labels": str(arguments.output), "volumes_mm3": volumes, "provenance": dict(found.provenance)}
    )
    console.table(
        "Structures", ["structure", "volume mL"], [[n, f"{v / 1000:,.2f}"] for n, v in volumes.items()]
    )
    return 0 if all(volumes.values()) else 4
