"""nnU-Net's plans.json: what of it matters to a prediction, typed. What only training reads is passed over."""

from __future__ import annotations

from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from tomosurf.errors import ModelError

Numbers = tuple[int, int, int]


class Told(BaseModel):
    """Base of what another tool wrote: immutable; keys that aren't asked for are passed over."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=False, allow_inf_nan=False)


class Intensities(Told):
    """The foreground of the training images, one channel."""

    mean: float
    std: float = Field(ge=0)
    percentile_00_5: float
    percentile_99_5: float


class SplineArguments(Told):
    """The arguments of ``resample_data_or_seg_to_shape``."""

    model_config = ConfigDict(extra="forbid")

    is_seg: bool = False
    order: int = 3
    order_z: int = 0
    force_separate_z: bool | None = False


class TorchArguments(Told):
    """The arguments of ``resample_torch_fornnunet``; the threads and memory that it takes change nothing."""

    model_config = ConfigDict(extra="forbid")

    is_seg: Literal[False] = False
    num_threads: int = 4
    device: str = "cpu"
    memefficient_seg_resampling: bool = False
    force_separate_z: bool | None = None
    separate_z_anisotropy_threshold: Literal[3] = 3
    mode: str = "linear"
    aniso_axis_mode: str = "nearest-exact"


class Configuration(Told):
    """One configuration, inherited values filled in."""

    preprocessor_name: str = "DefaultPreprocessor"
    patch_size: tuple[int, ...]
    spacing: tuple[float, ...]
    normalization_schemes: tuple[str, ...]
    use_mask_for_norm: tuple[bool, ...]
    resampling_fn_data: str
    resampling_fn_data_kwargs: dict[str, Any]
    resampling_fn_probabilities: str
    resampling_fn_probabilities_kwargs: dict[str, Any]
    resampling_fn_seg: str = ""
    resampling_fn_seg_kwargs: dict[str, Any] = Field(default_factory=dict)
    previous_stage: str | None = None


class Plans(Told):
    """What holds for every configuration."""

    dataset_name: str
    image_reader_writer: str
    label_manager: str = "LabelManager"
    transpose_forward: Numbers
    transpose_backward: Numbers
    foreground_intensity_properties_per_channel: dict[str, Intensities] = Field(default_factory=dict)
    configurations: dict[str, dict[str, Any]]

    @model_validator(mode="before")
    @classmethod
    def _older_name(cls, values: Any) -> Any:
        old, new = (
            "foreground_intensity_properties_by_modality",
            "foreground_intensity_properties_per_channel",
        )
        if isinstance(values, dict) and old in values and new not in values:
            return {**values, new: values[old]}
        return values

    @model_validator(mode="after")
    def _there_and_back(self) -> Plans:
        if sorted(self.transpose_forward) != [0, 1, 2]:
            raise ValueError("transpose_forward is an order of the axes 0, 1, 2")
        if any(self.transpose_backward[axis] != place for place, axis in enumerate(self.transpose_forward)):
            raise ValueError("transpose_backward doesn't undo transpose_forward")
        return self


Model = TypeVar("Model", bound=Told)


def told(model: type[Model], content: Any, where: str) -> Model:
    """``content`` as ``model``.

    Raises:
        ModelError: a key is missing or of the wrong kind; the message names each.
    """
    try:
        return model.model_validate(content)
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(str, e['loc'])) or 'file'}: {e['msg']}" for e in error.errors()[:5]
        )
        raise ModelError(f"{where}: {faults}") from error


def configuration_values(plans: Plans, name: str) -> dict[str, Any]:
    """One configuration's entries, those that it inherits included.

    Raises:
        ModelError: there is none of that name, or it inherits from itself.
    """
    values: dict[str, Any] = {}
    seen: list[str] = []
    while name not in seen:
        if name not in plans.configurations:
            known = ", ".join(sorted(plans.configurations))
            raise ModelError(f"plans.json: no configuration {name!r}; it has {known}")
        seen.append(name)
        values = {**plans.configurations[name], **values}
        parent = plans.configurations[name].get("inherits_from")
        if parent is None:
            return values
        name = str(parent)
    raise ModelError(f"plans.json: configuration {name!r} inherits from itself")
