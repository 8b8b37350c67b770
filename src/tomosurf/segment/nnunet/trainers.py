"""nnU-Net's trainers by name: which of them train the network that the plan describes."""

from __future__ import annotations

import re

from tomosurf.errors import ModelError

OTHER_NETWORKS = re.compile(r"primus|umamba|swin|unetr|medsam|stu_?net|mednext|former", re.IGNORECASE)
"""Trainers of nnU-Net and its best-known offspring that build a network of their own."""

OWN = re.compile(
    r"nnUNetTrainer(_?(BN|DA5|DA5ord0|DA5Segord0|NoDA|DASegOrd0|noDummy2DDA|NoMirroring|onlyMirror01|NoDeepSupervision"
    r"|CosAnneal|warmup|DiceLoss|DiceCELoss_noSmooth|CELoss|Topk10Loss|Topk10LossLS01|DiceTopK10Loss|VanillaAdam"
    r"|VanillaRAdam|Adam|Adan|BS8|probabilisticOversampling|Benchmark|noDataLoading|\d+epochs?|\d+ep|\den\d|0\d\d))*"
)


def builds_with_batch_norm(trainer: str) -> bool:
    """Whether the trainer puts batch normalisation in place of the plan's.

    Raises:
        ModelError: the trainer builds a network of its own.
    """
    if OTHER_NETWORKS.search(trainer):
        raise ModelError(
            f"the trainer {trainer} builds a network of its own, not the plan's; it isn't supported"
        )
    return re.fullmatch(r"nnUNetTrainerBN\w*", trainer) is not None


def is_nnunets_own(trainer: str) -> bool:
    """Whether the trainer is one that comes with nnU-Net, as far as its name tells."""
    return OWN.fullmatch(trainer) is not None
