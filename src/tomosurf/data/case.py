"""Everything known so far about one study."""

from __future__ import annotations

from dataclasses import dataclass

from tomosurf.data.finding import Finding
from tomosurf.data.mesh import Scene
from tomosurf.data.segmentation import Segment, Segmentation
from tomosurf.data.volume import Volume


@dataclass(frozen=True, slots=True)
class InputFile:
    """One slice that went in: SHA-256 of the whole file and the digest of its series. No name, no path."""

    sha256: str
    series: str


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """One study on its way from slices to surfaces; what exporters, checks and the report receive.

    ``study`` and ``identity`` are short digests: of the Study Instance UID, and of all that determines the
    result (slices, protocols, model weights, version). A segmentation belongs to the volume whose
    ``series`` it carries. Labels and segment names are unique over the whole case.
    """

    study: str
    identity: str
    inputs: tuple[InputFile, ...] = ()
    volumes: tuple[Volume, ...] = ()
    segmentations: tuple[Segmentation, ...] = ()
    scene: Scene = Scene(())  # noqa: RUF009  (frozen)
    findings: tuple[Finding, ...] = ()

    @property
    def segments(self) -> tuple[Segment, ...]:
        """Every structure looked for, in the order of the label maps."""
        return tuple(segment for segmentation in self.segmentations for segment in segmentation.segments)

    @property
    def usable(self) -> bool:
        """Whether no finding is an error."""
        return all(finding.severity != "error" for finding in self.findings)

    def volume_of(self, segmentation: Segmentation) -> Volume:
        """The volume that a segmentation was made from."""
        return next(volume for volume in self.volumes if volume.series == segmentation.series)
