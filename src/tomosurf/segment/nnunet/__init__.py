"""nnU-Net v2 results folders read as data: plans, labels and checkpoints; nothing in them is ever run."""

from tomosurf.segment.nnunet.importer import NnUNet

__all__ = ["IMPORTER", "NnUNet"]

IMPORTER = NnUNet()
