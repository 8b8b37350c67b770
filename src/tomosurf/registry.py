"""Names of independent, exchangeable things, and where their code lives.

An entry is ``"name": "module:attribute"`` and is imported only when asked for, so that listing costs nothing.
Registered are things that know nothing of each other: exporters, checks, segmenters, atlases, importers of models,
readers of data sets.
Cases of one thing (coordinate conventions, say) are not.

To add one, write its file and add its line here; the conformance suite in tests/conformance finds it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from types import MappingProxyType
from typing import Any

from tomosurf.errors import UnknownNameError


class Registry:
    """An immutable table from names to late-loaded objects.

    >>> EXPORTERS.names()[0]
    'glb'
    """

    def __init__(self, kind: str, entries: Mapping[str, str]) -> None:
        self.kind = kind
        self._entries = MappingProxyType(dict(entries))

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def names(self) -> tuple[str, ...]:
        """All names, sorted."""
        return tuple(sorted(self._entries))

    def load(self, name: str) -> Any:
        """Import and return the object registered as ``name``.

        Raises:
            UnknownNameError: nothing is registered under that name.
        """
        try:
            module, attribute = self._entries[name].split(":")
        except KeyError:
            raise UnknownNameError(
                f"no {self.kind} is called {name!r}; known: {', '.join(self.names())}"
            ) from None
        return getattr(import_module(module), attribute)


EXPORTERS = Registry(
    "exporter",
    {
        "stl": "tomosurf.export.stl:EXPORTER",
        "ply": "tomosurf.export.ply:EXPORTER",
        "vtp": "tomosurf.export.vtp:EXPORTER",
        "glb": "tomosurf.export.glb:EXPORTER",
        "glb-confidence": "tomosurf.export.glb_confidence:EXPORTER",
        "nifti": "tomosurf.export.nifti:EXPORTER",
        "nifti-labels": "tomosurf.export.nifti:LABELS_EXPORTER",
    },
)

CHECKS = Registry(
    "check",
    {
        "slice_spacing": "tomosurf.qc.slice_spacing:check",
        "repaired_slices": "tomosurf.qc.repaired_slices:check",
        "possibly_incomplete": "tomosurf.qc.possibly_incomplete:check",
        "structure_present": "tomosurf.qc.structure_present:check",
        "closed_surface": "tomosurf.qc.closed_surface:check",
        "mesh_volume": "tomosurf.qc.mesh_volume:check",
        "field_of_view": "tomosurf.qc.field_of_view:check",
        "total_error": "tomosurf.qc.total_error:check",
        "survival": "tomosurf.qc.survival:check",
        "face": "tomosurf.qc.face:check",
        "localisation": "tomosurf.qc.localisation:check",
    },
)

SEGMENTERS = Registry(
    "segmenter",
    {
        "threshold": "tomosurf.segment.threshold:segment",
        "network": "tomosurf.segment.network:segment",
    },
)

ATLASES = Registry(
    "atlas",
    {
        "mni152": "tomosurf.segment.localise.mni152:load",
    },
)

IMPORTERS = Registry(
    "importer of models",
    {
        "monai-bundle": "tomosurf.segment.bundle:IMPORTER",
        "nnunet": "tomosurf.segment.nnunet:IMPORTER",
    },
)

DATASETS = Registry(
    "form of data set",
    {
        "decathlon": "tomosurf.datasets.decathlon:READER",
        "nnunet-raw": "tomosurf.datasets.nnunet_raw:READER",
        "folder-pair": "tomosurf.datasets.folder_pair:READER",
        "totalsegmentator": "tomosurf.datasets.totalsegmentator:READER",
        "monai-datalist": "tomosurf.datasets.monai_datalist:READER",
    },
)
