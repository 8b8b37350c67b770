"""What a bundle makes of its network's outputs: whether channels exclude each other, and which parts it keeps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from tomosurf.segment.bundle.component import Component, components
from tomosurf.segment.bundle.config import Value
from tomosurf.segment.bundle.expressions import Painting, shown

PREDICTION = "pred"


@dataclass(slots=True)
class Postprocessing:
    """What was found; ``largest`` gives the number of components to keep by label, 0 for every label.

    ``painted`` is the order and the labels of overlapping channels, where the bundle joins them itself;
    ``nearest`` says that its labels are made before they are brought back to the image.
    """

    activations: set[str] = field(default_factory=set)
    decides: Literal["argmax", "threshold", ""] = ""
    largest: dict[int, int] = field(default_factory=dict)
    painted: Painting | None = None
    nearest: bool = False

    def activation(self, value: Value) -> Literal["softmax", "sigmoid"]:
        """Whether channels exclude each other.

        Raises:
            ModelError: the bundle doesn't say.
        """
        from tomosurf.errors import ModelError

        if self.decides == "argmax":
            return "softmax"
        if "sigmoid" in self.activations or (self.decides == "threshold" and not self.activations):
            if self.decides != "threshold":
                raise ModelError(f"{value.where}: it never says where a sigmoid counts as on (AsDiscrete)")
            if "sigmoid" not in self.activations:
                raise ModelError(f"{value.where}: a threshold without a sigmoid isn't understood")
            return "sigmoid"
        raise ModelError(
            f"{value.where}: it never turns outputs into labels, by an AsDiscrete with argmax or threshold;"
            " write one into the bundle's configuration"
        )


def postprocessing_of(value: Value) -> Postprocessing:
    """What all of it comes to.

    Raises:
        ModelError: a transform of the prediction isn't understood.
    """
    found = Postprocessing()
    for part in components(value):
        name = part.target.removesuffix("Dict")
        single = name[:-1] if name[-1:] in {"d", "D"} else name
        if single in _IGNORED:
            continue
        place = _place(part) if part.has("keys") else 0
        if place is None:
            continue
        if single not in _READ or not (part.path == "" or part.path.startswith("monai.transforms")):
            raise part.refuse("this transform of the prediction isn't one of those that are understood")
        part.ignore("allow_missing_keys")
        _READ[single](part, found, place)
        part.finish()
    return found


def _place(part: Component) -> int | None:
    """The place of the prediction among a transform's keys; None when it isn't one of them."""
    keys = part.plain("keys")
    names = keys if isinstance(keys, list) else [keys]
    return names.index(PREDICTION) if PREDICTION in names else None


def _mine(part: Component, name: str, place: int, default: Any) -> Any:
    value = part.plain(name, default)
    return value[min(place, len(value) - 1)] if isinstance(value, list) and value else value


def _activations(part: Component, found: Postprocessing, place: int) -> None:
    part.expect("other", None)
    part.expect("dim", 0)
    for name in ("sigmoid", "softmax"):
        if _mine(part, name, place, False) is True:
            found.activations.add(name)


def _as_discrete(part: Component, found: Postprocessing, place: int) -> None:
    part.ignore("to_onehot", "n_classes", "num_classes", "dtype", "dim", "keepdim", "threshold_values")
    if _mine(part, "rounding", place, None) is not None:
        raise part.refuse("rounding isn't understood")
    argmax, threshold = _mine(part, "argmax", place, False), _mine(part, "threshold", place, None)
    if argmax is True:
        found.decides = "argmax"
        return
    if part.has("logit_thresh"):
        part.expect("logit_thresh", 0.5)
        threshold = 0.5
    if threshold is True:
        threshold = 0.5
    if threshold is None or threshold is False:
        return
    if threshold != 0.5:
        raise part.refuse(f"the threshold {shown(str(threshold))} isn't understood, only 0.5")
    found.decides = found.decides or "threshold"


def _largest(part: Component, found: Postprocessing, _: int) -> None:
    part.ignore("is_onehot", "connectivity")
    count = part.whole("num_components", 1)
    labels = part.wholes("applied_labels") if part.plain("applied_labels") is not None else [0]
    if not part.flag("independent", True) and (len(labels) > 1 or labels == [0]):
        raise part.refuse("the largest component of several labels together isn't understood")
    if count < 1 or min(labels) < 0:
        raise part.refuse("it keeps nothing")
    found.largest.update(dict.fromkeys(labels, count))


def _painting(part: Component, found: Postprocessing, _: int) -> None:
    function = part.plain("func")
    if not isinstance(function, Painting) or found.decides != "threshold":
        raise part.refuse("this function isn't understood")
    part.ignore("overwrite", "track_meta")
    found.painted = function


def _invert(part: Component, found: Postprocessing, _: int) -> None:
    part.ignore(
        "transform", "orig_keys", "meta_keys", "orig_meta_keys", "meta_key_postfix", "to_tensor", "device"
    )
    part.ignore("nearest_interp")
    part.expect("post_func", None)
    found.nearest = found.decides == "argmax"


_IGNORED = frozenset(
    {"SaveImage", "EnsureType", "ToTensor", "CastToType", "ToDevice", "Identity", "DeleteItems"}
    | {"SelectItems", "EnsureChannelFirst"}
)

_READ: MappingProxyType[str, Callable[[Component, Postprocessing, int], None]] = MappingProxyType(
    {
        "Activations": _activations,
        "Invert": _invert,
        "Lambda": _painting,
        "AsDiscrete": _as_discrete,
        "KeepLargestConnectedComponent": _largest,
    }
)
