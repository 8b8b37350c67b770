"""Segmentation to Scene: closed surfaces contoured from margin fields, in LPS mm."""

from tomosurf.surface import loop_cache

loop_cache.install()
