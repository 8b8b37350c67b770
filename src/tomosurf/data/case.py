"""Everything known so far about one study."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from tomosurf.data.finding import Finding
from tomosurf.data.mesh import Measurements, Reliability, Scene
from tomosurf.data.notice import Notice
from tomosurf.data.segmentation import Segment, Segmentation
from tomosurf.data.volume import Volume


@dataclass(frozen=True, slots=True)
class InputFile:
    """One slice that went in: SHA-256 of the whole file and the digest of its series. No name, no path."""

    sha256: str
    series: str


@dataclass(frozen=True, slots=True)
class SeriesChoice:
    """Whether a protocol took a series, and why or why not, in words that hold no header text.

    ``series`` is its digest, ``slices`` how many went in. ``score`` is None for one that doesn't fit. Of a series
    that was refused before any protocol was asked, ``protocol`` is "" and the reason its code.
    """

    series: str
    modality: str
    phase: str
    slices: int
    protocol: str
    taken: bool
    score: float | None
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """One study on its way from slices to surfaces; what exporters, checks and the report receive.

    ``study`` and ``identity`` are short digests: of the Study Instance UID, and of all that determines the
    result (slices, protocols, model weights, version). A segmentation belongs to the volume whose
    ``series`` it carries. Labels and segment names are unique over the whole case. ``measurements`` maps
    segment names to what was measured on their meshes, once, after extraction. ``may_be_cut`` names the
    segments that the edge of the image may cut without a warning, as their protocols say. ``notices`` is what
    was said about this study's input, ``selection`` why each of its series was or wasn't taken. ``lighter`` maps a
    budget's name ("web", "headset") to the scene with fewer triangles, ``most_error_mm`` a segment's name to the
    largest error that its protocol allows, ``reliability`` to how far its surface can be trusted.
    """

    study: str
    identity: str
    inputs: tuple[InputFile, ...] = ()
    volumes: tuple[Volume, ...] = ()
    segmentations: tuple[Segmentation, ...] = ()
    scene: Scene = Scene(())  # noqa: RUF009  (frozen)
    findings: tuple[Finding, ...] = ()
    measurements: Mapping[str, Measurements] = field(default_factory=dict)
    may_be_cut: frozenset[str] = frozenset()
    notices: tuple[Notice, ...] = ()
    selection: tuple[SeriesChoice, ...] = ()
    lighter: Mapping[str, Scene] = field(default_factory=dict)
    most_error_mm: Mapping[str, float] = field(default_factory=dict)
    reliability: Mapping[str, Reliability] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("measurements", "lighter", "most_error_mm", "reliability"):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))

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
