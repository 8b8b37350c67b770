"""How a bundle's network is moved over the image."""

from __future__ import annotations

from tomosurf.segment.bundle.component import Component
from tomosurf.segment.bundle.expressions import shown
from tomosurf.segment.model.spec import Window
from tomosurf.segment.model.steps import Pad


def window_of(part: Component) -> Window | None:
    """The window of a sliding inferer; None where the network sees the whole image at once.

    Raises:
        ModelError: the inferer, or an argument that changes its outputs, isn't understood.
    """
    if not (part.path == "" or part.path.startswith("monai.inferers")):
        raise part.refuse("this inferer isn't understood")
    if part.target == "SimpleInferer":
        part.finish()
        return None
    if part.target not in {"SlidingWindowInferer", "SlidingWindowInfererAdapt"}:
        raise part.refuse("this inferer isn't understood, only SlidingWindowInferer and SimpleInferer")
    part.ignore("sw_batch_size", "sw_device", "device", "progress", "cache_roi_weight_map", "cpu_thresh")
    part.ignore("buffer_steps", "buffer_dim")
    part.ignore("padding_mode")
    part.expect("with_coord", False)
    if part.number("cval", 0.0) != 0:
        raise part.refuse("only a cval of 0 is understood")
    roi = part.triple("roi_size")
    overlaps = set(part.numbers("overlap")) if part.has("overlap") else {0.25}
    mode = part.text("mode", "constant")
    if len(overlaps) != 1 or not 0 <= min(overlaps) < 1:
        raise part.refuse("overlap isn't one fraction for all axes")
    if mode not in {"constant", "gaussian"}:
        raise part.refuse(f"mode {shown(mode)} isn't understood")
    if part.has("sigma_scale") and (set(part.numbers("sigma_scale")) != {0.125} and mode == "gaussian"):
        raise part.refuse("only a sigma_scale of 0.125 is understood")
    part.finish()
    if max(roi) <= 0:
        return None
    if min(roi) <= 0 or max(roi) > 1024:
        raise part.refuse("roi_size isn't three sizes from 1 to 1024")
    return Window(roi=roi, overlap=overlaps.pop(), mode="gaussian" if mode == "gaussian" else "constant")


def padding_of(part: Component, window: Window | None) -> Pad | None:
    """What an inferer does to an image that is smaller than its window, unless it pads with zeros.

    Raises:
        ModelError: a way of padding that isn't understood.
    """
    mode = part.text("padding_mode", "constant")
    if mode == "constant" or window is None:
        return None
    if mode != "replicate":
        raise part.refuse(f"padding_mode {shown(mode)} isn't understood, only constant and replicate")
    return Pad(at_least=window.roi, value="edge")
