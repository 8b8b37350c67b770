"""MONAI bundles, old and new, read as data: nothing in a bundle is ever run."""

from tomosurf.segment.bundle.importer import BundleImporter

__all__ = ["IMPORTER", "BundleImporter"]

IMPORTER = BundleImporter()
