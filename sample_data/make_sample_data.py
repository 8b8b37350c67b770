"""Write the three sample studies as DICOM: an analytic CT torso, an MR head, and two crops of it.

Run as ``python sample_data/make_sample_data.py OUT``. Everything is synthetic or an average of many; where it
comes from is told in sample_data/README.md. The same version of tomosurf and numpy gives the same bytes.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomosurf.data.geometry import Geometry
from tomosurf.errors import MissingExtraError
from tomosurf.progress import Progress, silent
from tomosurf.testing.dicom_writer import SeriesOptions, derived_uid, write_series
from tomosurf.testing.phantoms import save_truth
from tomosurf.testing.torso import hounsfield, torso

CT_SHAPE = (256, 256, 160)
CT_SPACING = (1.0, 1.0, 1.5)
CT_ORIGIN = (-131.7, -303.85, 742.4)
"""LPS mm of the first voxel's centre: like a real patient, nowhere near the frame's origin."""
BODY_CENTRE = (-4.3, -176.2, 861.5)
"""LPS mm of the torso's middle; on no voxel's centre or face."""
NOISE_HU = 12.0
"""Standard deviation of the noise."""
PADDING = -2000
"""Stored value outside the circle of reconstruction."""
INTERCEPT = -1024

TEMPLATE = "datasets/data/mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz"
"""The MNI152 T1 template inside the package nilearn."""
CROP_SHAPE = (36, 52, 42)
CROP_CENTRES = {"left": (25.5, 23.5, -13.5), "right": (-25.5, 23.5, -13.5)}
"""LPS mm of the boxes' middles around each hippocampus, in the template's space."""


@dataclass(frozen=True, slots=True)
class SampleData:
    """Where the studies lie, and the truth about the CT (see tomosurf.testing.phantoms.load_truth)."""

    ct_phantom: Path
    mr_head: Path
    mr_hippocampus: Path
    truth: Path


def make(out: Path, progress: Progress = silent) -> SampleData:
    """Write ``ct-phantom``, ``mr-head``, ``mr-hippocampus`` and ``ct-phantom.truth.json`` into the folder ``out``.

    Raises:
        MissingExtraError: the package nilearn, which carries the MR template, isn't installed.
    """
    out.mkdir(parents=True, exist_ok=True)
    truth = out / "ct-phantom.truth.json"
    sample = SampleData(out / "ct-phantom", out / "mr-head", out / "mr-hippocampus", truth)
    write_ct_phantom(sample.ct_phantom, sample.truth, progress)
    write_mr_head(sample.mr_head, progress)
    write_mr_hippocampus(sample.mr_hippocampus, progress)
    return sample


def write_ct_phantom(folder: Path, truth: Path, progress: Progress = silent) -> None:
    """The CT series, and what is known about it."""
    affine = np.diag([*CT_SPACING, 1.0])
    affine[:3, 3] = CT_ORIGIN
    geometry = Geometry(CT_SHAPE, affine)
    structures = torso(BODY_CENTRE)
    image = hounsfield(structures, geometry, progress)
    image += NOISE_HU * _noise(CT_SHAPE, seed=20)
    np.maximum(image, float(INTERCEPT), out=image)
    stored = (np.rint(image) - INTERCEPT).astype(np.int16)
    i, j = np.ogrid[: CT_SHAPE[0], : CT_SHAPE[1]]
    centre = (np.array(CT_SHAPE[:2]) - 1) / 2.0
    stored[np.hypot(i - centre[0], j - centre[1]) > CT_SHAPE[0] / 2.0] = PADDING
    options = SeriesOptions(
        study="tomosurf sample ct-phantom",
        series="ct-phantom",
        rescale=(1.0, float(INTERCEPT)),
        padding=PADDING,
        attributes={
            "StudyDescription": "Sample: analytic torso",
            "SeriesDescription": "Analytic torso, 1.5 mm",
            "BodyPartExamined": "CHEST",
            "ReconstructionDiameter": "256",
        },
        removed=("Laterality",),
    )
    write_series(folder, stored, geometry, options, progress)
    save_truth(truth, structures)


def write_mr_head(folder: Path, progress: Progress = silent) -> None:
    """The MNI152 template as one sagittal series."""
    values, geometry = _template()
    affine = geometry.affine[:, [1, 2, 0, 3]] * [1.0, -1.0, 1.0, 1.0]
    affine[:3, 3] = geometry.to_world([[0, 0, geometry.shape[2] - 1]])[0]
    ni, nj, nk = geometry.shape
    sagittal = Geometry((nj, nk, ni), affine, geometry.frame_of_reference_uid)
    _write_mr(folder, "head", values[:, :, ::-1].transpose(1, 2, 0), sagittal, progress)


def write_mr_hippocampus(folder: Path, progress: Progress = silent) -> None:
    """Two axial series around its hippocampi: ``crop-left`` and ``crop-right``."""
    values, geometry = _template()
    for name, centre in CROP_CENTRES.items():
        first = np.rint(geometry.to_index([centre])[0] - (np.array(CROP_SHAPE) - 1) / 2.0).astype(int)
        a, b, c = first.tolist()
        box = tuple(slice(n, n + size) for n, size in zip((a, b, c), CROP_SHAPE, strict=True))
        _write_mr(
            folder / f"crop-{name}",
            f"crop-{name}",
            values[box],
            geometry.cropped((a, b, c), CROP_SHAPE),
            progress,
        )


def _write_mr(folder: Path, name: str, values: NDArray[Any], geometry: Geometry, progress: Progress) -> None:
    number, laterality, part = {
        "head": (1, None, "HEAD"),
        "crop-left": (2, "L", None),
        "crop-right": (3, "R", None),
    }[name]
    attributes = {
        "PatientName": "Template^MNI152",
        "PatientID": "MNI152",
        "DeidentificationMethod": "Average of 152 people",
        "StudyDescription": "Sample: MNI152 T1 template",
        "SeriesDescription": f"MNI152 T1, {name}",
        "SeriesNumber": number,
    } | ({"Laterality": laterality} if laterality else {"BodyPartExamined": part})
    options = SeriesOptions(
        modality="MR",
        study=f"tomosurf sample mr-{'hippocampus' if laterality else 'head'}",
        series=name,
        bits_stored=8,
        rescale=None,
        attributes=attributes,
        removed=() if laterality else ("Laterality",),
    )
    write_series(folder, values.astype(np.uint16), geometry, options, progress)


def _template() -> tuple[NDArray[np.uint8], Geometry]:
    """The MNI152 T1 template: (ni, nj, nk) values and their grid, axes along +L, +P, +S, 1 mm."""
    import nibabel

    package = find_spec("nilearn")  # found, not imported: that takes seconds
    if package is None or package.origin is None:
        raise MissingExtraError("the MR sample needs the package nilearn: pip install nilearn")
    image: Any = nibabel.load(Path(package.origin).parent / TEMPLATE)
    values = np.asarray(image.dataobj)[::-1, ::-1, :]
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ image.affine  # NIfTI says RAS
    affine[:3, 3] = (affine @ [values.shape[0] - 1, values.shape[1] - 1, 0, 1])[:3]
    affine[:3, :2] *= -1.0
    frame = derived_uid("tomosurf sample mr-hippocampus", "MNI152")
    ni, nj, nk = values.shape
    return values, Geometry((ni, nj, nk), affine, frame)


def _noise(shape: tuple[int, int, int], seed: int) -> NDArray[np.float32]:
    """Unit noise, a little correlated within the slice as a reconstruction kernel makes it."""
    white = np.random.default_rng(seed).standard_normal(shape[::-1], np.float32).T
    weight = 0.25
    for axis in (0, 1):
        white = white + weight * (np.roll(white, 1, axis) + np.roll(white, -1, axis))
        white /= np.float32(np.sqrt(1.0 + 2.0 * weight**2))
    noise: NDArray[np.float32] = white
    return noise


def _printed(stage: str, fraction: float) -> None:
    if fraction >= 1.0:
        print(f"{stage}: done")


def main() -> None:
    """The command line: one argument, the folder to write into."""
    parser = argparse.ArgumentParser(description="Write tomosurf's three sample studies as DICOM.")
    parser.add_argument("out", type=Path, help="folder to write into")
    make(parser.parse_args().out, _printed)


if __name__ == "__main__":
    main()
