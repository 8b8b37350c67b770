"""``tomosurf segment``: one image file to a label map."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tomosurf.commands.run import add_network
from tomosurf.console import Console
from tomosurf.whole_file import whole_file

if TYPE_CHECKING:
    from tomosurf.config import NetworkMethod, RefineRule, ThresholdMethod
    from tomosurf.data.segmentation import Segmentation
    from tomosurf.data.volume import Volume
    from tomosurf.progress import Progress

HELP = "segment one NIfTI, NRRD or MHA volume into a label map"


def configure(parser: ArgumentParser) -> None:
    """Arguments of ``segment``."""
    parser.add_argument(
        "volume",
        type=Path,
        nargs="+",
        help=".nii, .nii.gz, .nrrd, .mha or .mhd; several on one grid for a model that takes several channels",
    )
    how = parser.add_mutually_exclusive_group(required=True)
    how.add_argument("--model", metavar="NAME_OR_DIR", help="a network by itself, see `tomosurf models`")
    how.add_argument(
        "--protocol",
        metavar="NAME",
        help="as a protocol segments: it finds the place in a whole head, or takes thresholds",
    )
    parser.add_argument("-o", "--output", type=Path, required=True, help="the label map, .nii.gz")
    add_network(parser)


def execute(arguments: Namespace, console: Console) -> int:
    """Segment; exit code 4 when a structure wasn't found, or isn't plausible where a whole head was searched.

    Raises:
        ConfigError: the output isn't named .nii.gz, or thresholds are asked for on several channels.
        InputRefused: the volume can't be read or placed, is larger than the model's crops, or isn't of the place.
    """
    from tomosurf.data.case import Case
    from tomosurf.errors import ConfigError
    from tomosurf.image_file import read_volume
    from tomosurf.pipeline import on_sides
    from tomosurf.qc.run import run_checks
    from tomosurf.refine.refine import refine
    from tomosurf.registry import EXPORTERS

    exporter = EXPORTERS.load("nifti-labels")
    if not arguments.output.name.endswith(exporter.suffix):
        raise ConfigError(f"a label map is written as {exporter.suffix}; name the output so")
    method, rules, modality = _asked(arguments)
    volumes = [read_volume(path, modality) for path in arguments.volume]
    with console.progress() as progress:
        found = _segmented(volumes, method, arguments, progress)
        found = refine(found, on_sides(rules, found))
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(arguments.output) as partial:
        exporter.write(found, partial)
    findings = run_checks(Case("", "", segmentations=(found,)), ["localisation"])
    sizes = {
        s.name: float((found.labels == s.label).sum() * found.geometry.voxel_volume) for s in found.segments
    }
    console.emit(
        {
            "labels": str(arguments.output),
            "volumes_mm3": sizes,
            "findings": [finding.as_dict() for finding in findings],
            "provenance": dict(found.provenance),
        }
    )
    console.table(
        "Structures", ["structure", "volume mL"], [[n, f"{v / 1000:,.2f}"] for n, v in sizes.items()]
    )
    for finding in findings:
        console.say(f"  {finding.severity}: {finding.check}: {finding.message}")
    return 0 if all(sizes.values()) and not findings else 4


def _asked(arguments: Namespace) -> tuple[ThresholdMethod | NetworkMethod, Mapping[str, RefineRule], str]:
    """How to segment, how to clean up, and the modality that images count as, "" when any will do."""
    from tomosurf.config import NetworkMethod, load_protocol
    from tomosurf.pipeline import clean_up
    from tomosurf.segment.model.catalogue import find_model
    from tomosurf.segment.model.spec import load_spec

    if arguments.protocol is not None:
        protocol = load_protocol(arguments.protocol)
        return protocol.segment, clean_up(protocol.segment, protocol.refine), protocol.series.modality
    spec = load_spec(find_model(arguments.model))
    method = NetworkMethod(method="network", model=arguments.model)
    return method, clean_up(method, {}), "" if spec.modality == "any" else spec.modality


def _segmented(
    volumes: Sequence[Volume],
    method: ThresholdMethod | NetworkMethod,
    arguments: Namespace,
    progress: Progress,
) -> Segmentation:
    from tomosurf.errors import ConfigError
    from tomosurf.isolated import segment_in_child
    from tomosurf.registry import SEGMENTERS
    from tomosurf.segment.options import SegmentOptions

    first, *others = volumes
    options = SegmentOptions(arguments.device, precision=arguments.precision, mirror=arguments.mirror)
    segment = SEGMENTERS.load(method.method)
    if method.method == "threshold":
        if others:
            raise ConfigError(f"thresholds take one image, not {len(volumes)}")
        found: Segmentation = segment(first, method, options, progress)
        return found
    found = (segment_in_child if arguments.isolated else segment)(first, method, options, progress, others)
    return found
