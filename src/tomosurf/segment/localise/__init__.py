"""From a whole head to the boxes that a network was trained on: an atlas laid over the image, and gates."""

from tomosurf.segment.localise.whole import segment_whole

__all__ = ["segment_whole"]
