"""Small bundles in the manner of MONAI's Model Zoo: the same keys and forms, our own networks, names and text."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import yaml

Json = dict[str, Any]


@dataclass(frozen=True)
class Zoo:
    """One bundle: the parts of its configuration for inference, and what its metadata says."""

    name: str
    network: Json
    preprocessing: list[Json]
    inferer: Json
    postprocessing: list[Json]
    channels: tuple[str, ...] = ("background", "bright ball", "pale ball")
    modality: str = "CT"
    extra: Json = field(default_factory=dict)
    metadata: Json = field(default_factory=dict)

    def config(self) -> Json:
        """The whole configuration, with parts that nobody but MONAI reads."""
        return {
            "imports": ["$import glob", "$import os"],
            "bundle_root": ".",
            "dataset_dir": "/nowhere",
            "device": "$torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')",
            "datalist": "$list(sorted(glob.glob(@dataset_dir + '/imagesTs/*.nii.gz')))",
            **self.extra,
            "network_def": self.network,
            "network": "$@network_def.to(@device)",
            "preprocessing": {"_target_": "Compose", "transforms": self.preprocessing},
            "dataset": {"_target_": "Dataset", "data": "$[{'image': i} for i in @datalist]"},
            "inferer": self.inferer,
            "postprocessing": {"_target_": "Compose", "transforms": self.postprocessing},
            "checkpointloader": {
                "_target_": "CheckpointLoader",
                "load_path": "$@bundle_root + '/models/model.pt'",
                "load_dict": {"model": "@network"},
            },
            "run": ["$@evaluator.run()"],
        }

    def description(self) -> Json:
        """metadata.json."""
        definition = {str(n): name for n, name in enumerate(self.channels)}
        return {
            "version": "0.4.2",
            "monai_version": "1.4.0",
            "name": f"A small {self.name}",
            "authors": "the test",
            "network_data_format": {
                "inputs": {"image": {"type": "image", "modality": self.modality}},
                "outputs": {"pred": {"type": "image", "channel_def": definition}},
            },
            **self.metadata,
        }


def write(
    folder: Path, zoo: Zoo, weights: dict[str, torch.Tensor] | None = None, *, as_yaml: bool = False
) -> Path:
    """The bundle's folder; ``weights`` is a state dict."""
    (folder / "configs").mkdir(parents=True)
    (folder / "models").mkdir()
    config = zoo.config()
    if as_yaml:
        (folder / "configs" / "inference.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    else:
        (folder / "configs" / "inference.json").write_text(json.dumps(config, indent=1))
    (folder / "configs" / "metadata.json").write_text(json.dumps(zoo.description()))
    (folder / "LICENSE").write_text("Apache License\nVersion 2.0, January 2004\n")
    if weights is not None:
        torch.save(weights, folder / "models" / "model.pt")
    return folder


def _load(*more: Json) -> list[Json]:
    return [
        {"_target_": "LoadImaged", "keys": "image"},
        {"_target_": "EnsureChannelFirstd", "keys": "image"},
        *more,
        {"_target_": "EnsureTyped", "keys": "image"},
    ]


def _orient(axes: str = "RAS") -> Json:
    return {"_target_": "Orientationd", "keys": "image", "axcodes": axes}


def _spacing(*pixdim: float, **more: Any) -> Json:
    return {"_target_": "Spacingd", "keys": "image", "pixdim": list(pixdim), "mode": "bilinear", **more}


def _window(roi: list[int], **more: Any) -> Json:
    return {"_target_": "SlidingWindowInferer", "roi_size": roi, "sw_batch_size": 2, "overlap": 0.5, **more}


def _invert(**more: Any) -> Json:
    return {
        "_target_": "Invertd",
        "keys": "pred",
        "transform": "@preprocessing",
        "orig_keys": "image",
        "nearest_interp": False,
        "to_tensor": True,
        **more,
    }


SOFTMAX = [
    {"_target_": "Activationsd", "keys": "pred", "softmax": True},
    _invert(),
    {"_target_": "AsDiscreted", "keys": "pred", "argmax": True},
    {"_target_": "SaveImaged", "keys": "pred", "output_dir": "@output_dir", "_disabled_": True},
]
SIGMOID = [
    {"_target_": "Activationsd", "keys": "pred", "sigmoid": True},
    _invert(),
    {"_target_": "AsDiscreted", "keys": "pred", "threshold": 0.5},
]
CT_RANGE = {
    "_target_": "ScaleIntensityRanged",
    "keys": "image",
    "a_min": -160,
    "a_max": 240,
    "b_min": 0.0,
    "b_max": 1.0,
    "clip": True,
}
EXTRA = {"output_dir": "$@bundle_root + '/eval'"}

ZOO = (
    Zoo(
        "unet_ct",
        {
            "_target_": "UNet",
            "spatial_dims": 3,
            "in_channels": 1,
            "out_channels": 3,
            "channels": [8, 16, 24],
            "strides": [2, 2],
            "num_res_units": 2,
            "norm": "batch",
        },
        _load(_orient(), _spacing(1.5, 1.5, 2.0), CT_RANGE),
        _window([32, 32, 32]),
        SOFTMAX,
        extra=EXTRA,
    ),
    Zoo(
        "segresnet_whole_body",
        {
            "_target_": "monai.networks.nets.SegResNet",
            "spatial_dims": 3,
            "in_channels": 1,
            "out_channels": 3,
            "init_filters": 8,
            "blocks_down": [1, 1, 1],
            "blocks_up": [1, 1],
            "dropout_prob": 0.2,
        },
        _load(
            _orient(),
            _spacing(1, 1, 1, pixdim="@pixdim"),
            {"_target_": "NormalizeIntensityd", "keys": "image", "nonzero": True},
            {"_target_": "ScaleIntensityd", "keys": "image", "minv": -1.0, "maxv": 1.0},
        ),
        {
            **_window([32, 32, 32], mode="gaussian", padding_mode="replicate"),
            "overlap": 0.25,
            "_target_": "SlidingWindowInfererAdapt",
        },
        SOFTMAX,
        modality="MR",
        extra={**EXTRA, "highres": False, "pixdim": "$[1.5, 1.5, 1.5] if @highres else [2.0, 2.0, 2.0]"},
    ),
    Zoo(
        "swin_unetr_abdomen",
        {
            "_target_": "SwinUNETR",
            "spatial_dims": 3,
            "in_channels": 1,
            "out_channels": 3,
            "feature_size": 12,
            "use_checkpoint": True,
            "depths": [1, 1, 1, 1],
            "num_heads": [1, 2, 2, 4],
        },
        _load(_orient(), _spacing(2.0, 2.0, 3.0), CT_RANGE),
        _window([64, 32, 32]),
        SOFTMAX,
        extra=EXTRA,
    ),
    Zoo(
        "dynunet_cropped",
        {
            "_target_": "DynUNet",
            "spatial_dims": 3,
            "in_channels": 1,
            "out_channels": 3,
            "kernel_size": [3, [3, 3, 1], 3],
            "strides": [1, [2, 2, 1], 2],
            "upsample_kernel_size": [[2, 2, 1], 2],
            "filters": [8, 12, 16],
            "norm_name": "INSTANCE",
            "res_block": True,
            "deep_supervision": False,
        },
        _load(
            {
                "_target_": "CropForegroundd",
                "keys": "image",
                "source_key": "image",
                "margin": 4,
                "select_fn": "$lambda x: x > -300",
            },
            _orient("LAS"),
            _spacing(2.0, 2.0, 2.0),
            {
                "_target_": "ScaleIntensityRangePercentilesd",
                "keys": "image",
                "lower": 2,
                "upper": 98,
                "b_min": -1.0,
                "b_max": 1.0,
                "clip": True,
                "relative": False,
            },
            {"_target_": "SpatialPadd", "keys": "image", "spatial_size": [48, 40, 44]},
        ),
        _window([24, 24, 24], mode="gaussian"),
        [
            *SOFTMAX[:3],
            {"_target_": "KeepLargestConnectedComponentd", "keys": "pred", "applied_labels": [1, 2]},
        ],
        extra=EXTRA,
    ),
    Zoo(
        "attention_regions",
        {
            "_target_": "AttentionUnet",
            "spatial_dims": 3,
            "in_channels": 1,
            "out_channels": 2,
            "channels": [8, 16, 16],
            "strides": [2, 2],
        },
        _load(
            _orient("PIL"),
            _spacing(2.0, -1.0, 2.0),
            {"_target_": "NormalizeIntensityd", "keys": ["image"], "channel_wise": True},
            {"_target_": "DivisiblePadd", "keys": "image", "k": 8},
        ),
        {"_target_": "SimpleInferer"},
        SIGMOID,
        channels=("bright ball", "any ball"),
        modality="MRI",
        extra=EXTRA,
    ),
    Zoo(
        "segresnetds_lesion",
        {
            "_target_": "SegResNetDS",
            "spatial_dims": 3,
            "in_channels": 1,
            "out_channels": 1,
            "init_filters": 8,
            "blocks_down": [1, 1, 1],
            "norm": "INSTANCE",
            "dsdepth": 2,
            "resolution": [1.5, 1.5, 3.0],
        },
        _load(
            _orient(),
            _spacing(1.5, 1.5, 3.0),
            {"_target_": "NormalizeIntensityd", "keys": "image", "subtrahend": 20, "divisor": 120},
        ),
        _window([32, 32, 16], mode="gaussian"),
        SIGMOID,
        channels=("bright ball",),
        extra=EXTRA,
    ),
    Zoo(
        "unetr_ct",
        {
            "_target_": "UNETR",
            "in_channels": 1,
            "out_channels": 3,
            "img_size": [32, 32, 32],
            "feature_size": 8,
            "hidden_size": 24,
            "mlp_dim": 32,
            "num_heads": 3,
            "proj_type": "conv",
            "norm_name": "instance",
            "res_block": True,
        },
        _load(_orient(), _spacing(1.5, 1.5, 2.0), CT_RANGE),
        _window([32, 32, 32]),
        SOFTMAX,
        extra=EXTRA,
    ),
    Zoo(
        "basic_unet",
        {
            "_target_": "BasicUNet",
            "spatial_dims": 3,
            "in_channels": 1,
            "out_channels": 3,
            "features": [8, 8, 8, 8, 8, 8],
            "act": ["LeakyReLU", {"negative_slope": 0.2, "inplace": True}],
        },
        _load(_orient(), _spacing(2.0), CT_RANGE),
        _window([32, 32, 32]),
        SOFTMAX,
        extra=EXTRA,
    ),
)
