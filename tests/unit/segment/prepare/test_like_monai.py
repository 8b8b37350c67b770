"""Steps for bundles against MONAI's own transforms, on images that lie in the patient in any way."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from tomosurf.data.geometry import Geometry
from tomosurf.data.volume import Volume
from tomosurf.errors import DataError
from tomosurf.segment.model.spec import InputSpec
from tomosurf.segment.model.steps import CropForeground, Orient, Pad, Resample, Step, ZScore
from tomosurf.segment.outputs.slab import Slab
from tomosurf.segment.prepare.pad import unpadded, without_padding
from tomosurf.segment.prepare.prepare import prepare

TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def image(seed: int) -> Volume:
    """Noise on a grid of any orientation, with the rounding of a NIfTI file; every third one is upright."""
    random = np.random.default_rng(seed)
    turn = np.eye(3) if seed % 3 == 0 else Rotation.from_rotvec(random.normal(0, 0.5, 3)).as_matrix()
    axes = turn @ (np.eye(3)[random.permutation(3)] * random.choice([-1, 1], 3)) * random.uniform(0.6, 4, 3)
    affine = np.eye(4)
    affine[:3, :3] = axes.astype(np.float32)
    affine[:3, 3] = random.normal(0, 60, 3).astype(np.float32)
    a, b, c = random.integers(5, 24, 3).tolist()
    values = random.normal(size=(a, b, c)).astype(np.float32)
    return Volume(Geometry((a, b, c), affine), np.asfortranarray(values), "CT")


def as_monai(volume: Volume) -> object:
    from monai.data import MetaTensor

    array = torch.from_numpy(np.ascontiguousarray(volume.array))[None]
    return MetaTensor(array, affine=torch.from_numpy(TO_RAS @ volume.geometry.affine))


def run(volume: Volume, *steps: Step) -> object:
    return prepare([volume], InputSpec(steps=steps))


def assert_same(ours, theirs) -> None:
    assert ours.image.shape == tuple(theirs.shape)
    assert np.abs(ours.image - theirs.numpy()).max() < 1e-4
    assert np.allclose(TO_RAS @ theirs.affine.numpy(), ours.grid.affine, atol=1e-4)


@pytest.mark.parametrize("seed", range(24))
def test_orientation_and_spacing_are_those_of_monai(seed):
    from monai.transforms import Orientation, Spacing

    volume = image(seed)
    x, y, z = np.random.default_rng(seed + 100).uniform(0.7, 4, 3).round(2).tolist()
    letters = ("RAS", "LPS", "PIR", "SAL")[seed % 4]
    theirs = Spacing((x, y, z))(Orientation(letters)(as_monai(volume)))
    assert_same(run(volume, Orient(axes=letters), Resample(spacing_mm=(x, y, z), grid="monai")), theirs)


def test_an_axis_may_stay_as_it_is():
    from monai.transforms import Spacing

    volume = image(3)
    theirs = Spacing((2.0, -1, 1.5))(as_monai(volume))
    assert_same(run(volume, Resample(spacing_mm=(2.0, None, 1.5), grid="monai")), theirs)


@pytest.mark.parametrize("smaller", [True, False])
def test_crop_is_that_of_monai(smaller):
    from monai.transforms import CropForeground as MonaiCrop

    volume = image(4)
    margin = (1, 0, 30)
    theirs = MonaiCrop(select_fn=lambda x: x > 2.2, margin=margin, allow_smaller=smaller)(as_monai(volume))
    step = CropForeground(above=2.2, margin=margin, beyond="image" if smaller else "pad")
    ours = run(volume, step)
    assert_same(ours, theirs)
    assert (ours.padding[2] == (0, 0)) is smaller


@pytest.mark.parametrize("where", ["both", "end"])
def test_pads_are_those_of_monai(where):
    from monai.transforms import DivisiblePad, SpatialPad

    volume, method = image(5), {"both": "symmetric", "end": "end"}[where]
    padded = DivisiblePad((8, 3, 5), method=method, constant_values=0.5)(as_monai(volume))
    assert_same(run(volume, Pad(divisor=(8, 3, 5), where=where, value=0.5)), padded)
    padded = SpatialPad((30, -1, 25), method=method)(as_monai(volume))
    assert_same(run(volume, Pad(at_least=(30, 1, 25), where=where)), padded)


def test_statistics_count_padding_as_monai_does():
    from monai.transforms import DivisiblePad, NormalizeIntensity

    volume = image(6)
    theirs = NormalizeIntensity()(DivisiblePad(16)(as_monai(volume)))
    assert_same(run(volume, Pad(divisor=(16, 16, 16)), ZScore()), theirs)


def test_an_image_without_foreground_is_told():
    with pytest.raises(DataError, match="foreground"):
        run(image(1), CropForeground(above=1e6))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_padding_is_taken_off_the_outputs_again(axis):
    seen = run(image(7), CropForeground(above=1.0, margin=(2, 3, 40), beyond="pad"), Pad(divisor=(7, 7, 7)))
    outputs = torch.from_numpy(np.repeat(seen.image, 2, axis=0))
    cuts = range(0, outputs.shape[1 + axis], 3)
    slabs = [
        Slab(axis, start, part) for start, part in zip(cuts, outputs.split(3, dim=1 + axis), strict=True)
    ]
    rest = list(unpadded(slabs, seen))
    bare = without_padding(seen)
    assert [slab.start for slab in rest] == [0, *(slab.stop for slab in rest[:-1])]
    joined = torch.cat([slab.values for slab in rest], dim=1 + axis)
    assert np.array_equal(joined.numpy()[:1], bare.image)
    assert bare.grid.shape == bare.image.shape[1:]
    start = tuple(before for before, _ in seen.padding)
    assert np.allclose(bare.grid.origin, seen.grid.to_world([start])[0])
