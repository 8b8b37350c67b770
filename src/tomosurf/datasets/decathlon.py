"""The form of the Medical Segmentation Decathlon: dataset.json with ``training``, imagesTr, labelsTr.

Reference: M. Antonelli et al., The Medical Segmentation Decathlon, Nature Communications 13:4128 (2022).
"""

from __future__ import annotations

from pathlib import Path

from tomosurf.datasets.dataset import DataSet
from tomosurf.datasets.inside import inside, peek, read_json
from tomosurf.datasets.listing import case_names, collected, modality_of, present, structures_of
from tomosurf.errors import ConfigError

FILE = "dataset.json"


class DecathlonReader:
    """``{"training": [{"image": "./imagesTr/a.nii.gz", "label": "./labelsTr/a.nii.gz"}, ...]}``."""

    title = "Medical Segmentation Decathlon"

    def recognises(self, path: Path) -> bool:
        """A folder whose dataset.json lists ``training`` pairs."""
        training = peek(path / FILE).get("training")
        return isinstance(training, list) and bool(training) and isinstance(training[0], dict)

    def read(self, path: Path) -> DataSet:
        """All pairs that dataset.json lists for training; its test images have no labels.

        Raises:
            ConfigError: no such dataset.json, or an entry that points outside the folder.
        """
        source = path / FILE
        content = read_json(source)
        try:
            pairs = [(inside(path, e["image"]), inside(path, e["label"])) for e in content["training"]]
        except (KeyError, TypeError) as error:
            raise ConfigError(f"{path} holds no readable dataset.json in the decathlon's form") from error
        names = case_names(path, [image for image, _ in pairs])
        cases, findings = collected(
            present(name, (image,), label) for name, (image, label) in zip(names, pairs, strict=True)
        )
        labels, modality = content.get("labels", {}), content.get("modality", {})
        return DataSet(
            "decathlon",
            str(content.get("name", path.name)),
            path,
            cases,
            structures_of(labels if isinstance(labels, dict) else {}, str(source)),
            modality_of(modality.values()) if isinstance(modality, dict) else "",
            findings=findings,
        )


READER = DecathlonReader()
