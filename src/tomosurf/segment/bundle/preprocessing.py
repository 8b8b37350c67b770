"""A bundle's preprocessing as our steps.

Only what is done to the image matters: a transform of other keys (labels, predictions) is left out. One that
isn't in the table is refused by its name, whatever it may do.
"""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType
from typing import Any

from tomosurf.config import parse
from tomosurf.segment.bundle.component import Component, components
from tomosurf.segment.bundle.config import Value
from tomosurf.segment.bundle.expressions import Above, Device, FormatName, shown
from tomosurf.segment.model.spec import InputSpec

IMAGE = "image"
"""The key under which MONAI's evaluators look for the network's input."""

Steps = list[dict[str, Any]]

STANDARD_LETTERS = ["L", "R", "P", "A", "I", "S"]


class Preprocessing:
    """The steps found, as plain values, and what a user should know of them.

    Attributes:
        channels: the network's inputs; statistics over several at once aren't ours.
    """

    def __init__(self, channels: int) -> None:
        self.channels = channels
        self.keys = {IMAGE}
        self.steps: Steps = []
        self.notes: list[str] = []

    def read(self, value: Value) -> InputSpec:
        """All of it.

        Raises:
            ModelError: a transform isn't understood.
            ConfigError: an argument's value is impossible.
        """
        parts = list(components(value))
        self._find_keys(parts)
        for part in parts:
            self._take(part)
        if not any(step["do"] in {"orient", "as_stored"} for step in self.steps):
            self.steps.insert(0, {"do": "as_stored", "axes": "ijk"})
            self.notes.append(
                "the bundle doesn't orient its images: the network sees the axes as they are stored, and"
                " nothing in the bundle says how those of its training images were"
            )
        return parse(InputSpec, {"channels": self.channels, "steps": self.steps}, value.where)

    def _find_keys(self, parts: list[Component]) -> None:
        """Several images that are joined into one are the image, too."""
        for part in parts:
            if part.target not in {"ConcatItemsd", "ConcatItemsDict", "ConcatItemsD"}:
                continue
            if part.text("name", "") != IMAGE:
                continue
            joined = _names(part)
            part.expect("dim", 0)
            part.ignore("allow_missing_keys")
            if len(joined) != self.channels:
                raise part.refuse(f"it joins {len(joined)} images; the network takes {self.channels}")
            self.keys |= set(joined)
            self.notes.append(f"the model takes {len(joined)} images, in this order: {', '.join(joined)}")

    def _take(self, part: Component) -> None:
        name = part.target.removesuffix("Dict")
        if name[-1:] in {"d", "D"} and name[:-1] in _TRANSFORMS:
            name, keys = name[:-1], _names(part)
            if not self.keys & set(keys):
                return
        elif name.removesuffix("d").removesuffix("D") in _DROPPED:
            return
        else:
            keys = [IMAGE]
        if name not in _TRANSFORMS or not (part.path == "" or part.path.startswith("monai.transforms")):
            raise part.refuse(
                "this transform isn't one of those that are understood; if it only matters in training,"
                f" take it out of the bundle's {part.where.split('::')[0]}"
            )
        part.expect("lazy", False, None)
        part.ignore("allow_missing_keys")
        place = next((n for n, key in enumerate(keys) if key in self.keys), 0)
        found = _TRANSFORMS[name](part, self, place)
        part.finish()
        self.steps += found

    def alone(self, part: Component, channel_wise: bool) -> None:
        """Refuse statistics over several channels at once."""
        if self.channels > 1 and not channel_wise:
            raise part.refuse(
                "statistics over several channels at once aren't understood (channel_wise: false)"
            )


def _names(part: Component) -> list[str]:
    keys = part.plain("keys")
    names = keys if isinstance(keys, list) else [keys]
    if not names or not all(isinstance(name, str) for name in names):
        raise part.refuse("keys aren't names")
    return names


def _mine(part: Component, name: str, place: int, default: Any) -> Any:
    """An argument that may have one value a key: the image's."""
    value = part.plain(name, default)
    if not isinstance(value, list):
        return value
    if not value:
        raise part.refuse(f"{name} is empty")
    return value[min(place, len(value) - 1)]


def _load(part: Component, _: Preprocessing, __: int) -> Steps:
    part.ignore(
        "reader", "image_only", "ensure_channel_first", "simple_keys", "meta_keys", "meta_key_postfix"
    )
    part.ignore("overwriting", "prune_meta_pattern", "prune_meta_sep", "expanduser")
    return _number_format(part, _, __)


def _channel_first(part: Component, _: Preprocessing, __: int) -> Steps:
    part.expect("channel_dim", None, "no_channel", 0, -1)
    part.ignore("strict_check", "meta_keys", "meta_key_postfix")
    return []


def _number_format(part: Component, _: Preprocessing, place: int) -> Steps:
    """Formats of 32 bits and more change nothing; less would."""
    given = _mine(part, "dtype", place, None)
    name = given.name if isinstance(given, FormatName) else given
    if isinstance(name, str):
        name = name.rpartition(".")[2]
    if name not in {None, "float32", "float64", "float"}:
        raise part.refuse(f"dtype {shown(str(name))} isn't understood: images stay float32")
    if part.has("device"):
        device = part.plain("device")
        if device is not None and not isinstance(device, str | Device | int):
            raise part.refuse("device is no device")
    part.ignore("data_type", "wrap_sequence", "track_meta", "drop_meta")
    return []


def _nothing(part: Component, _: Preprocessing, __: int) -> Steps:
    return []


def _orient(part: Component, _: Preprocessing, __: int) -> Steps:
    labels = part.plain("labels")
    if labels is not None and [x for pair in labels for x in pair] != STANDARD_LETTERS:
        raise part.refuse("labels other than MONAI's own aren't understood")
    canonical = part.flag("as_closest_canonical", False)
    axes = part.plain("axcodes")
    if isinstance(axes, list) and all(isinstance(letter, str) for letter in axes):
        axes = "".join(axes)
    if not canonical and not isinstance(axes, str):
        raise part.refuse("axcodes isn't three letters")
    return [{"do": "orient", "axes": "RAS" if canonical else axes.upper()}]


def _spacing(part: Component, _: Preprocessing, place: int) -> Steps:
    sizes = part.numbers("pixdim")
    x, y, z = [*sizes, sizes[-1], sizes[-1]][:3] if len(sizes) < 3 else sizes[:3]
    mode = _mine(part, "mode", place, "bilinear")
    orders = {"bilinear": "linear", "nearest": "nearest", 1: "linear"}
    if isinstance(mode, bool) or mode not in {"bilinear", "nearest"}:
        raise part.refuse(f"mode {shown(str(mode))} isn't understood, only bilinear and nearest")
    part.expect("diagonal", False)
    if _mine(part, "padding_mode", place, "border") != "border":
        raise part.refuse("only the padding_mode border is understood")
    if _mine(part, "align_corners", place, False) not in {False, None}:
        raise part.refuse("align_corners: true isn't understood")
    part.expect("scale_extent", False)
    for name in ("min_pixdim", "max_pixdim"):
        part.expect(name, None)
    part.ignore("dtype", "ensure_same_shape", "recompute_affine", "meta_keys", "meta_key_postfix")
    spacing = [step if step > 0 else None for step in (x, y, z)]
    return [{"do": "resample", "spacing_mm": spacing, "grid": "monai", "order": orders[mode]}]


def _range(part: Component, _: Preprocessing, __: int) -> Steps:
    low, high = part.number("a_min"), part.number("a_max")
    to, clip = _target(part)
    return [{"do": "range", "lower": low, "upper": high, "to": to, "clip": clip}]


def _target(part: Component) -> tuple[list[float], bool]:
    """Where a range goes, and whether what lies beyond is clipped."""
    part.ignore("dtype")
    clip = part.flag("clip", False)
    if part.plain("b_min") is None and part.plain("b_max") is None:
        return [0.0, 1.0], False
    to = [part.number("b_min"), part.number("b_max")]
    if clip and to[0] > to[1]:
        raise part.refuse("b_min must be below b_max")
    return to, clip


def _scale(part: Component, found: Preprocessing, _: int) -> Steps:
    part.expect("factor", None)
    part.ignore("dtype")
    found.alone(part, part.flag("channel_wise", False))
    to = [part.number("minv", 0.0), part.number("maxv", 1.0)]
    return [{"do": "percentiles", "lower": 0, "upper": 100, "to": to, "clip": False}]


def _percentiles(part: Component, found: Preprocessing, _: int) -> Steps:
    found.alone(part, part.flag("channel_wise", False))
    low, high = part.number("lower"), part.number("upper")
    to, clip = _target(part)
    if part.flag("relative", False):
        width = to[1] - to[0]
        to = [to[0] + width * low / 100, to[0] + width * high / 100]
    return [{"do": "percentiles", "lower": low, "upper": high, "to": to, "clip": clip}]


def _normalise(part: Component, found: Preprocessing, _: int) -> Steps:
    part.ignore("dtype")
    nonzero, channel_wise = part.flag("nonzero", False), part.flag("channel_wise", False)
    fixed = [part.plain(name) is not None for name in ("subtrahend", "divisor")]
    if not any(fixed):
        found.alone(part, channel_wise)
        return [{"do": "zscore", "over": "nonzero" if nonzero else "all"}]
    if not all(fixed) or nonzero:
        raise part.refuse("subtrahend and divisor are understood together only, and not with nonzero")
    mean, deviation = set(part.numbers("subtrahend")), set(part.numbers("divisor"))
    if len(mean) != 1 or len(deviation) != 1:
        raise part.refuse("a subtrahend or divisor for each channel isn't understood")
    return [{"do": "standardise", "mean": mean.pop(), "deviation": deviation.pop()}]


def _crop(part: Component, found: Preprocessing, _: int) -> Steps:
    source = part.plain("source_key", IMAGE)
    if source not in found.keys:
        raise part.refuse(f"source_key {shown(str(source))} isn't the image; its foreground isn't known")
    channels = part.plain("channel_indices")
    if channels is not None and not (found.channels == 1 and channels in (0, [0])):
        raise part.refuse("channel_indices isn't understood")
    chosen = part.plain("select_fn", Above(0.0))
    if not isinstance(chosen, Above):
        raise part.refuse("select_fn isn't understood, only '$lambda x: x > NUMBER'")
    margin = part.triple("margin") if part.has("margin") else (0, 0, 0)
    if part.has("k_divisible") and part.triple("k_divisible") != (1, 1, 1):
        raise part.refuse("k_divisible isn't understood, only 1")
    smaller = part.flag("allow_smaller", False)
    _constant(part)
    part.ignore("start_coord_key", "end_coord_key", "return_coords")
    beyond = "image" if smaller or margin == (0, 0, 0) else "pad"
    return [{"do": "crop", "above": chosen.level, "margin": margin, "beyond": beyond}]


def _constant(part: Component) -> float:
    """What is padded with."""
    mode = part.plain("mode", "constant")
    if any(m != "constant" for m in (mode if isinstance(mode, list) else [mode])):
        raise part.refuse("only the mode constant is understood")
    return part.number("constant_values", 0.0) if part.has("constant_values") else part.number("value", 0.0)


def _where(part: Component) -> str:
    part.expect("method", "symmetric", "end")
    return "end" if part.plain("method", "symmetric") == "end" else "both"


def _divisible_pad(part: Component, _: Preprocessing, __: int) -> Steps:
    divisor = [max(k, 1) for k in part.triple("k")]
    return [{"do": "pad", "divisor": divisor, "where": _where(part), "value": _constant(part)}]


def _spatial_pad(part: Component, _: Preprocessing, __: int) -> Steps:
    size = [max(n, 1) for n in part.triple("spatial_size")]
    return [{"do": "pad", "at_least": size, "where": _where(part), "value": _constant(part)}]


def _joined(part: Component, found: Preprocessing, _: int) -> Steps:
    if part.text("name", "") != IMAGE:
        raise part.refuse("it joins the image into something else")
    return []


_DROPPED = frozenset({"SelectItems", "DeleteItems", "FlattenSubKeys"})

_TRANSFORMS: MappingProxyType[str, Callable[[Component, Preprocessing, int], Steps]] = MappingProxyType(
    {
        "LoadImage": _load,
        "EnsureChannelFirst": _channel_first,
        "AddChannel": _nothing,
        "EnsureType": _number_format,
        "CastToType": _number_format,
        "ToTensor": _number_format,
        "ToDevice": _number_format,
        "Identity": _nothing,
        "ConcatItems": _joined,
        "Orientation": _orient,
        "Spacing": _spacing,
        "ScaleIntensityRange": _range,
        "ScaleIntensity": _scale,
        "ScaleIntensityRangePercentiles": _percentiles,
        "NormalizeIntensity": _normalise,
        "CropForeground": _crop,
        "DivisiblePad": _divisible_pad,
        "SpatialPad": _spatial_pad,
    }
)
