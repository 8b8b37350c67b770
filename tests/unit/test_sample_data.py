"""The generated studies are correct DICOM, and show what their truth says."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread

from sample_data.make_sample_data import (
    CROP_SHAPE,
    PADDING,
    TEMPLATE,
    write_ct_phantom,
    write_mr_head,
    write_mr_hippocampus,
)
from tomosurf.testing.phantoms import Structure, load_truth

BIN = Path(sys.executable).parent
SERIES = {
    "ct-phantom": 160,
    "mr-head": 197,
    "mr-hippocampus/crop-left": 42,
    "mr-hippocampus/crop-right": 42,
}


def read(folder: Path) -> list[Dataset]:
    return [dcmread(file) for file in sorted(folder.iterdir())]


def voxels(slices: list[Dataset]) -> tuple[np.ndarray, np.ndarray]:
    """Stored values (ni, nj, nk) and the affine, from the headers alone."""
    first, second = slices[:2]
    affine = np.eye(4)
    affine[:3, 0] = np.array(first.ImageOrientationPatient[:3]) * first.PixelSpacing[1]
    affine[:3, 1] = np.array(first.ImageOrientationPatient[3:]) * first.PixelSpacing[0]
    affine[:3, 2] = np.subtract(second.ImagePositionPatient, first.ImagePositionPatient)
    affine[:3, 3] = first.ImagePositionPatient
    return np.stack([d.pixel_array.T for d in slices], axis=-1), affine


@pytest.mark.parametrize(("name", "count"), SERIES.items())
def test_dicom3tools_finds_no_error(sample_data: Path, name: str, count: int) -> None:
    files = sorted((sample_data / name).iterdir())
    assert len(files) == count
    for file in files[:: count // 4]:
        checked = subprocess.run(
            [BIN / "dciodvfy", "-new", file], check=False, capture_output=True, text=True
        )
        report = checked.stdout + checked.stderr
        assert report.strip() in {"CTImage", "MRImage"}  # not a warning either
        assert checked.returncode == 0
    entities = subprocess.run([BIN / "dcentvfy", *files], check=False, capture_output=True, text=True)
    assert (entities.returncode, entities.stdout, entities.stderr) == (0, "", "")


def test_the_folders_hold_nothing_but_slices(sample_data: Path) -> None:
    assert sorted(p.name for p in sample_data.iterdir()) == [
        "ct-phantom",
        "ct-phantom.truth.json",
        "mr-head",
        "mr-hippocampus",
    ]
    assert {p.suffix for p in sample_data.rglob("*") if p.is_file()} == {".dcm", ".json"}


def test_the_ct_shows_what_its_truth_says(sample_data: Path) -> None:
    truth = load_truth(sample_data / "ct-phantom.truth.json")
    assert {"bone", "skin", "lungs", "vessels", "liver", "femoral_head_left", "socket_left"} <= set(truth)
    slices = read(sample_data / "ct-phantom")
    stored, affine = voxels(slices)
    assert stored.shape == (256, 256, 160)
    assert np.linalg.norm(affine[:3, :3], axis=0) == pytest.approx([1.0, 1.0, 1.5])
    assert {(float(d.RescaleSlope), float(d.RescaleIntercept)) for d in slices} == {(1.0, -1024.0)}
    image = stored - 1024.0
    for name, structure in truth.items():
        if structure.value is None:
            continue
        inside = image[tuple(deep_inside(structure, affine).T)]
        assert len(inside) > 50, name
        assert inside.mean() == pytest.approx(structure.value, abs=5 * 12.0 / len(inside) ** 0.5 + 0.5), name
        assert 10.0 < inside.std() < 14.0, name


def deep_inside(structure: Structure, affine: np.ndarray) -> np.ndarray:
    """(n, 3) indices of some voxels farther inside than any voxel reaches."""
    low, high = (np.linalg.solve(affine[:3, :3], end - affine[:3, 3]) for end in structure.shape.bounds)
    index = np.rint(np.random.default_rng(8).uniform(low, high, (20_000, 3))).astype(int)
    points = index @ affine[:3, :3].T + affine[:3, 3]
    return np.unique(index[structure.signed_distance(points) < -1.1], axis=0)


def test_padding_lies_outside_the_circle_of_reconstruction(sample_data: Path) -> None:
    d = dcmread(sample_data / "ct-phantom" / "0080.dcm")
    i, j = np.meshgrid(np.arange(256) - 127.5, np.arange(256) - 127.5)
    padded = d.pixel_array == PADDING
    assert d.PixelPaddingValue == PADDING
    assert np.array_equal(padded, np.hypot(i, j) > 128.0)
    assert d.pixel_array[~padded].min() >= 0


def test_the_body_closes_inside_the_stack(sample_data: Path) -> None:
    stored, _ = voxels(read(sample_data / "ct-phantom"))
    body = stored - 1024 > -480
    border = [body[0], body[-1], body[:, 0], body[:, -1], body[:, :, 0], body[:, :, -1]]
    assert not any(face.any() for face in border)


def test_no_voxel_of_bone_touches_across_the_joint(sample_data: Path) -> None:
    from scipy.ndimage import label

    stored, affine = voxels(read(sample_data / "ct-phantom"))
    parts, count = label(stored - 1024 > 370, np.ones((3, 3, 3)))
    truth = load_truth(sample_data / "ct-phantom.truth.json")
    bones = [n for n in truth if n.startswith(("vertebra_", "rib_", "femoral_head_", "socket_"))]
    found = [set(parts[tuple(deep_inside(truth[name], affine).T)]) for name in bones]
    assert count == len(bones) == 20
    assert all(len(labels) == 1 for labels in found)
    assert len(set.union(*found)) == 20


def test_crops_are_parts_of_the_head(sample_data: Path) -> None:
    head, head_affine = voxels(read(sample_data / "mr-head"))
    for side, letter in (("left", "L"), ("right", "R")):
        slices = read(sample_data / f"mr-hippocampus/crop-{side}")
        crop, affine = voxels(slices)
        assert crop.shape == CROP_SHAPE
        index = np.stack(np.meshgrid(*map(np.arange, crop.shape), indexing="ij"), -1).reshape(-1, 3)
        world = index @ affine[:3, :3].T + affine[:3, 3]
        at = np.rint((world - head_affine[:3, 3]) @ np.linalg.inv(head_affine[:3, :3]).T).astype(int)
        assert np.array_equal(crop.ravel(), head[tuple(at.T)])
        assert {d.Laterality for d in slices} == {letter}
        assert (world[:, 0] > 0).all() == (letter == "L")  # +x is the patient's left


def test_series_share_study_and_frame_of_reference(sample_data: Path) -> None:
    first = {name: dcmread(next((sample_data / name).iterdir())) for name in SERIES}
    mr = [d for name, d in first.items() if name.startswith("mr")]
    crops = [d for name, d in first.items() if "crop" in name]
    assert len({d.StudyInstanceUID for d in crops}) == len({d.FrameOfReferenceUID for d in mr}) == 1
    assert first["mr-head"].StudyInstanceUID != crops[0].StudyInstanceUID
    assert len({d.SeriesInstanceUID for d in first.values()}) == len(SERIES)
    assert first["ct-phantom"].StudyInstanceUID != mr[0].StudyInstanceUID
    assert all(d.PatientIdentityRemoved == "YES" and d.BurnedInAnnotation == "NO" for d in first.values())


def test_the_head_is_the_template_with_every_voxel_in_its_place(sample_data: Path) -> None:
    import nibabel
    import nilearn

    template = nibabel.load(Path(nilearn.__file__).parent / TEMPLATE)
    head, affine = voxels(read(sample_data / "mr-head"))
    index = np.random.default_rng(7).integers(0, template.shape, (20_000, 3))
    lps = nibabel.affines.apply_affine(template.affine, index) * [-1.0, -1.0, 1.0]
    at = np.rint(np.linalg.solve(affine[:3, :3], (lps - affine[:3, 3]).T).T).astype(int)
    assert head.size == np.prod(template.shape)
    assert np.array_equal(head[tuple(at.T)], np.asarray(template.dataobj)[tuple(index.T)])


def test_the_brain_is_upright(sample_data: Path) -> None:
    """The cerebellum is below at the back; below at the front there is none."""
    head, affine = voxels(read(sample_data / "mr-head"))

    def at(*lps: float) -> int:
        return int(head[tuple(np.rint(np.linalg.solve(affine[:3, :3], lps - affine[:3, 3])).astype(int))])

    assert at(0.0, 65.0, -30.0) > 100
    assert at(0.0, -50.0, -35.0) == 0


def digest(folder: Path) -> dict[str, str]:
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def test_writing_again_gives_the_same_bytes(sample_data: Path, tmp_path: Path) -> None:
    write_mr_head(tmp_path / "mr-head")
    write_mr_hippocampus(tmp_path / "mr-hippocampus")
    write_ct_phantom(tmp_path / "ct-phantom", tmp_path / "ct-phantom.truth.json")
    assert digest(tmp_path) == digest(sample_data)
