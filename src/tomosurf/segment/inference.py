"""A model run over one image, from its voxels to labels, margins and doubt, and what is written down about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from tomosurf.data.geometry import Geometry
from tomosurf.data.volume import Volume
from tomosurf.progress import Progress
from tomosurf.segment.engine import slabs
from tomosurf.segment.grids import turn
from tomosurf.segment.model.spec import ModelSpec, load_earlier
from tomosurf.segment.options import SegmentOptions
from tomosurf.segment.outputs.collect import Collected, collect
from tomosurf.segment.outputs.doubt import DOUBTFUL, Trust, trust_of
from tomosurf.segment.prepare.pad import unpadded, without_padding
from tomosurf.segment.prepare.prepare import Prepared, prepare


@dataclass(frozen=True, slots=True, eq=False)
class Inferred:
    """What a model found, on which ``grid`` its network looked, and what the engine says of itself."""

    found: Collected
    grid: Geometry
    told: Mapping[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class Inference:
    """A model with all that is chosen about how it runs."""

    folder: Path
    spec: ModelSpec
    options: SegmentOptions

    @property
    def trust(self) -> Trust:
        """How its outputs are read as probabilities."""
        return trust_of(self.spec, mirrored=self.options.mirror, folds=len(self.spec.weights))

    def run(self, volumes: Sequence[Volume], labelled: Volume, progress: Progress) -> Inferred:
        """Show the network ``volumes``, one a channel; labels lie on the voxels of ``labelled``.

        A cascade's first stage sees them before, and its labels go in beside them.

        Raises:
            ModelError: the weights don't fit the description, or a first stage isn't the one that was sealed.
            DataError: an image has no contrast, or they don't share a grid.
        """
        first = load_earlier(self.folder, self.spec)
        if first is None:
            return self._run(prepare(volumes, self.spec.input), labelled, progress)
        stage = Inference(*first, self.options)
        before = stage.run(volumes, volumes[0], progress)
        seen = prepare(volumes, self.spec.input, (before.found.labels, self.spec.earlier))
        run = self._run(seen, labelled, progress)
        resampled = turn(volumes[0].geometry, before.grid) is None
        earlier = stage.provenance(before.told, before.grid.spacing, resampled=resampled)
        return replace(run, told={**run.told, "earlier_stage": earlier})

    def _run(self, seen: Prepared, labelled: Volume, progress: Progress) -> Inferred:
        outputs = slabs(self.folder, self.spec, seen, self.options, progress)
        found = collect(unpadded(outputs, seen), without_padding(seen), labelled, self.spec, self.trust)
        return Inferred(found, seen.grid, outputs.told)

    def provenance(
        self, told: Mapping[str, Any], spacing_mm: Sequence[float], *, resampled: bool
    ) -> dict[str, Any]:
        """What a segmentation says about the model and how it ran."""
        from monai import __version__ as monai_version

        return {
            "method": "network",
            "model": self.spec.name,
            "model_version": self.spec.version,
            "model_licence": self.spec.licence,
            "model_sha256": self.spec.digest(),
            "weights_sha256": [weights.sha256 for weights in self.spec.weights],
            **told,
            "network_spacing_mm": [round(step, 6) for step in spacing_mm],
            "resampled": resampled,
            "torch": str(torch.__version__),
            "monai": str(monai_version),
        }

    def doubt(self, doubtful_mm3: Mapping[str, float]) -> dict[str, Any]:
        """How doubt was made, and how much of each segment, by name, is doubtful."""
        return {
            "calibrated": self.trust.calibrated,
            "temperature": self.trust.temperature,
            "sources": list(self.trust.sources),
            "doubtful_from": DOUBTFUL,
            "doubtful_mm3": {name: round(volume, 1) for name, volume in doubtful_mm3.items()},
        }
