"""A prepared image through a network, window by window; networks stay loaded from case to case."""

from tomosurf.segment.engine.run import slabs

__all__ = ["slabs"]
