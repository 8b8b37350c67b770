"""Segmentation to Scene: closed surfaces contoured from margin fields, in LPS mm."""
