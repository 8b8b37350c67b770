"""Protocols: what to build from which series. Frozen, typed, closed; loading one does nothing else."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import (
    BaseModel,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)

from tomosurf import resources
from tomosurf.data.segmentation import Code, Role, Segment
from tomosurf.errors import ConfigError, UnknownNameError
from tomosurf.frozen import Frozen
from tomosurf.localise_rule import LocaliseRule
from tomosurf.series_rule import SeriesRule

Model = TypeVar("Model", bound=BaseModel)


class CodeSpec(Frozen):
    """A coded concept, SNOMED CT unless another scheme is named."""

    value: str
    meaning: str
    scheme: str = "SCT"


class SegmentSpec(Frozen):
    """One structure to build: label, name (the mesh's file name), code, sRGB colour 0 to 255.

    ``role`` says what must not be lost of it: "lesion" (no piece, however small), "paired" (both pieces), "outline"
    (the patient's skin, which can carry a face).
    """

    label: int = Field(ge=1, le=65535)
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")
    code: CodeSpec
    colour: tuple[int, int, int]
    role: Role = ""

    def segment(self) -> Segment:
        """The value object that travels through the stages."""
        return Segment(self.label, self.name, Code(**self.code.model_dump()), self.colour, self.role)


class Range(Frozen):
    """An interval of intensities, both ends included, in the volume's unit."""

    lowest: float
    highest: float

    @model_validator(mode="after")
    def _ordered(self) -> Range:
        if not self.lowest < self.highest:
            raise ValueError("lowest must be below highest")
        return self


class Halfway(Range):
    """A level measured from the image: halfway between the structure's and its surroundings' intensity.

    The half-maximum rule places an edge truly whatever the blur (Spoor, Zonneveld and Macho 1993,
    Am J Phys Anthropol 91:469). The result lies from ``lowest`` to ``highest``.
    """


class ThresholdSegment(SegmentSpec):
    """A structure found by intensity: voxels beyond ``level`` that are connected to a seed beyond ``seed``.

    ``side`` says whether the structure is brighter ("above") or darker ("below") than its surroundings.
    ``touching_border`` "drop" removes what is connected to the in-plane edge of the image or to padding
    (the air around a patient). ``within_body`` looks only inside the patient's filled outline. ``median`` drops
    components whose median intensity lies elsewhere: gas in a bowel is emptier than a lung. ``furniture`` "drop"
    takes away thin sheets that run along the stack: the covers of table and mattress.
    """

    side: Literal["above", "below"]
    level: float | Halfway
    seed: float
    touching_border: Literal["keep", "drop"] = "keep"
    within_body: bool = False
    median: Range | None = None
    furniture: Literal["keep", "drop"] = "keep"


class ThresholdMethod(Frozen):
    """Segment by seeded, connected thresholds."""

    method: Literal["threshold"]
    segments: tuple[ThresholdSegment, ...] = Field(min_length=1)


class NetworkMethod(Frozen):
    """Segment with a network: the name of a model that ships or was imported, or a folder.

    With ``localise``, images larger than the model's crops are whole heads: each segment is looked for on both
    sides and named ``<name>_left`` and ``<name>_right``.
    """

    method: Literal["network"]
    model: str
    localise: LocaliseRule | None = None

    @model_serializer(mode="wrap")
    def _without_what_is_not_asked(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """A method that asks for nothing new keeps the digest that its protocol always had."""
        content: dict[str, Any] = handler(self)
        return {key: value for key, value in content.items() if key != "localise" or value is not None}


class RefineRule(Frozen):
    """Clean-up of one segment.

    ``keep`` is "all", or how many of the largest components; components below ``min_volume_mm3`` go.
    ``fill_holes`` fills cavities: "none", "volume" (enclosed in 3D) or "slices" (also those enclosed in a
    single slice, for a body outline whose lungs and bowel reach the end of the stack).
    """

    keep: Literal["all"] | Annotated[int, Field(ge=1)] = "all"
    min_volume_mm3: float = Field(default=0.0, ge=0)
    fill_holes: Literal["none", "volume", "slices"] = "none"


class Protocol(Frozen):
    """What to build from which series.

    ``refine`` maps segment names to rules; a segment without one is left as it was found. ``exports`` are
    names of mesh exporters. ``field_of_view`` lists segments that may be cut by the edge of the image
    without a warning (a skin always is). ``budgets`` names the lighter scenes to make besides the full one.
    ``max_total_error_mm`` is how far a surface may be anywhere from the boundary that its segmentation describes,
    all steps together, before the case is marked *not for use*.
    """

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    title: str
    series: SeriesRule
    segment: Annotated[ThresholdMethod | NetworkMethod, Field(discriminator="method")]
    refine: dict[str, RefineRule] = Field(default_factory=dict)
    exports: tuple[str, ...] = ("stl", "ply", "glb")
    field_of_view: tuple[str, ...] = ()
    budgets: tuple[Literal["web", "headset"], ...] = ()
    max_total_error_mm: float = Field(default=1.0, gt=0)

    def digest(self) -> str:
        """SHA-256 of the protocol's meaning: comments and key order don't count."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()


def read_yaml(path: Path) -> Any:
    """The content of a YAML file, plain values only.

    Raises:
        ConfigError: unreadable, or no YAML.
    """
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: not a readable YAML file ({error})") from error


def parse(model: type[Model], content: Any, source: str) -> Model:
    """``content`` checked against ``model``; errors are told with their place in the file.

    Raises:
        ConfigError: a key is unknown, missing or of the wrong kind.
    """
    try:
        return model.model_validate(content)
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'file'}: {e['msg']}" for e in error.errors())
        raise ConfigError(f"{source}: {faults}") from error


def protocol_names() -> tuple[str, ...]:
    """Names of the protocols that ship."""
    return tuple(sorted(path.stem for path in (resources.folder("configs") / "protocols").glob("*.yaml")))


def load_protocol(name_or_path: str) -> Protocol:
    """The protocol that ships under a name, or that a YAML file describes.

    Raises:
        UnknownNameError: neither a shipped protocol nor a file.
        ConfigError: the file is no protocol.
    """
    names = protocol_names()
    if name_or_path in names:
        path = resources.folder("configs") / "protocols" / f"{name_or_path}.yaml"
    else:
        path = Path(name_or_path)
        if path.suffix not in {".yaml", ".yml"} or not path.is_file():
            raise UnknownNameError(
                f"no protocol is called {name_or_path!r}; known: {', '.join(names)}, or a YAML file"
            )
    return parse(Protocol, read_yaml(path), str(path))
