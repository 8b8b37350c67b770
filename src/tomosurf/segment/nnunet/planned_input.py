"""From a plan's preprocessing to our steps, in the order in which nnU-Net takes them."""

from __future__ import annotations

from typing import Any, Literal

from tomosurf.errors import ModelError
from tomosurf.segment.model.steps import (
    AsStored,
    CropForeground,
    FixedRange,
    Intensity,
    Orient,
    PercentileRange,
    Resample,
    Standardise,
    Step,
    ZScore,
)
from tomosurf.segment.nnunet.plans import (
    Configuration,
    Plans,
    SplineArguments,
    TorchArguments,
    told,
)

AS_STORED = frozenset({"SimpleITKIO", "NibabelIO"})
"""Readers that give the array as the file has it, last axis first."""

REORIENTED = frozenset({"NibabelIOWithReorient", "SimpleITKIOWithReorient"})
"""Readers that turn the image to the right, the front and the head first."""

SPLINES: dict[int, Literal["nearest", "linear", "cubic"]] = {0: "nearest", 1: "linear", 3: "cubic"}

LEAST_DEVIATION = 1e-8
"""nnU-Net divides by at least this."""


def planned_steps(
    plans: Plans, configuration: Configuration, channels: int, orientation: str | None
) -> tuple[Step, ...]:
    """The steps; ``orientation`` turns the image first, for a reader that takes it as it is stored.

    Raises:
        ModelError: a reader, a normalisation or a resampling isn't known; the message names it.
    """
    if configuration.preprocessor_name != "DefaultPreprocessor":
        raise ModelError(f"the preprocessor {configuration.preprocessor_name} isn't known here")
    resampling = _resampling(configuration)
    return (
        *_axes(plans, orientation),
        CropForeground(where="nonzero"),
        *_intensities(plans, configuration, channels),
        *(() if resampling is None else (resampling,)),
    )


def check_labels_rule(configuration: Configuration) -> None:
    """Refuse a cascade whose first stage's labels aren't resampled as they are by :func:`resized_labels`.

    Raises:
        ModelError: another function, or other arguments.
    """
    where = "plans.json: resampling_fn_seg"
    if configuration.resampling_fn_seg != configuration.resampling_fn_data:
        raise ModelError(f"{where}: {configuration.resampling_fn_seg} isn't known here beside images' own")
    if configuration.resampling_fn_seg == "no_resampling_hack":
        return
    if configuration.resampling_fn_seg != "resample_data_or_seg_to_shape":
        raise ModelError(f"{where}: {configuration.resampling_fn_seg} isn't known here for a cascade")
    labels = told(SplineArguments, configuration.resampling_fn_seg_kwargs, where)
    images = told(SplineArguments, configuration.resampling_fn_data_kwargs, "plans.json: resampling_fn_data")
    if (
        not labels.is_seg
        or labels.order != 1
        or labels.order_z != 0
        or labels.force_separate_z != images.force_separate_z
    ):
        raise ModelError(f"{where}: is_seg {labels.is_seg}, order {labels.order} isn't known here")


def reads_as_stored(plans: Plans) -> bool:
    """Whether the network saw its training images as their files had them, whatever way they lay."""
    return plans.image_reader_writer in AS_STORED


def _axes(plans: Plans, orientation: str | None) -> tuple[Step, ...]:
    reader = plans.image_reader_writer
    if reader not in AS_STORED | REORIENTED:
        known = ", ".join(sorted(AS_STORED | REORIENTED))
        raise ModelError(f"plans.json: the image reader {reader} isn't known here; {known} are")
    stored: Any = "".join("kji"[axis] for axis in plans.transpose_forward)
    turn = "RAS" if reader in REORIENTED else orientation
    return (*((Orient(axes=turn),) if turn else ()), AsStored(axes=stored))


def _intensities(plans: Plans, configuration: Configuration, channels: int) -> tuple[Intensity, ...]:
    """One step a scheme; masked z-scores first, while what lies outside the mask is still zero."""
    schemes, masked = configuration.normalization_schemes, configuration.use_mask_for_norm
    if not len(schemes) == len(masked) == channels:
        raise ModelError(
            f"plans.json: {len(schemes)} normalization_schemes and {len(masked)} use_mask_for_norm"
            f" for {channels} channels"
        )
    groups: dict[tuple[str, bool], list[int]] = {}
    for channel, (scheme, mask) in enumerate(zip(schemes, masked, strict=True)):
        groups.setdefault((scheme, mask and scheme == "ZScoreNormalization"), []).append(channel)
    steps: list[Intensity] = []
    for (scheme, mask), own in sorted(groups.items(), key=lambda group: not group[0][1]):
        steps += _normalisation(plans, scheme, mask, () if len(own) == channels == 1 else tuple(own))
    return tuple(steps)


def _normalisation(plans: Plans, scheme: str, mask: bool, channels: tuple[int, ...]) -> list[Intensity]:
    match scheme:
        case "NoNormalization":
            return []
        case "ZScoreNormalization":
            return [ZScore(over="foreground" if mask else "all", channels=channels)]
        case "RescaleTo01Normalization":
            return [PercentileRange(lower=0, upper=100, channels=channels)]
        case "RGBTo01Normalization":
            return [FixedRange(lower=0, upper=255, clip=False, channels=channels)]
        case "CTNormalization":
            return [_ct(plans, channel, channels) for channel in channels or (0,)]
    raise ModelError(f"plans.json: the normalisation {scheme} isn't known here")


def _ct(plans: Plans, channel: int, channels: tuple[int, ...]) -> Standardise:
    found = plans.foreground_intensity_properties_per_channel.get(str(channel))
    if found is None:
        raise ModelError(
            f"plans.json: CTNormalization lacks the foreground's intensities of channel {channel}"
        )
    return Standardise(
        mean=found.mean,
        deviation=max(found.std, LEAST_DEVIATION),
        lower=found.percentile_00_5,
        upper=found.percentile_99_5,
        channels=(channel,) if channels else (),
    )


def _resampling(configuration: Configuration) -> Resample | None:
    """There by the data's rule; back always linearly, so another rule for the probabilities is refused."""
    spacing = configuration.spacing
    if len(spacing) != 3 or len(configuration.patch_size) != 3:
        raise ModelError("plans.json: a 2d configuration; only 3d ones are known here")
    there = _rule(configuration.resampling_fn_data, configuration.resampling_fn_data_kwargs, "data")
    back = _rule(
        configuration.resampling_fn_probabilities,
        configuration.resampling_fn_probabilities_kwargs,
        "probabilities",
    )
    if there is None and back is None:
        return None
    if there is None or back is None or back[0] != "linear" or there[1] != back[1]:
        raise ModelError(
            "plans.json: probabilities that aren't resampled linearly, as the data are, aren't known here"
        )
    return Resample(
        spacing_mm=(spacing[0], spacing[1], spacing[2]),
        grid="nnunet",
        order=there[0],
        separate_axis=there[1],
    )


def _rule(
    function: str, arguments: dict[str, Any], of: str
) -> tuple[Literal["nearest", "linear", "cubic"], Literal["never", "auto"]] | None:
    where = f"plans.json: resampling_fn_{of}"
    if function == "no_resampling_hack":
        return None
    if function == "resample_torch_fornnunet":
        torch = told(TorchArguments, arguments, where)
        if torch.mode != "linear" or torch.aniso_axis_mode != "nearest-exact":
            raise ModelError(f"{where}: mode {torch.mode}, {torch.aniso_axis_mode} isn't known here")
        return "linear", _separate(torch.force_separate_z, where)
    if function != "resample_data_or_seg_to_shape":
        raise ModelError(f"{where}: {function} isn't known here")
    spline = told(SplineArguments, arguments, where)
    if spline.is_seg or spline.order not in SPLINES or spline.order_z != 0:
        raise ModelError(f"{where}: order {spline.order}, order_z {spline.order_z} isn't known here")
    return SPLINES[spline.order], _separate(spline.force_separate_z, where)


def _separate(forced: bool | None, where: str) -> Literal["never", "auto"]:
    if forced is True:
        raise ModelError(f"{where}: force_separate_z true isn't known here")
    return "auto" if forced is None else "never"
