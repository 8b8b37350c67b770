from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tomosurf.data.series import Acquisition, Instance, PixelLayout, Rescale, Series
from tomosurf.data.transfer_syntax import EXPLICIT_LITTLE
from tomosurf.errors import InputRefused
from tomosurf.volume.build import examine
from tomosurf.volume.tolerances import Tolerances
from tomosurf.volume.verdict import judge

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
LAYOUT = PixelLayout(EXPLICIT_LITTLE, 10, 20, 16, 16, 15, True, "MONOCHROME2", 0, 400)


def slice_at(z: float, number: int = 0, **changes: Any) -> Instance:
    instance = Instance(
        path=Path("never opened"),
        name=f"{z:g}" + (f" ({number})" if number else ""),
        sha256="",
        size=0,
        sop_instance_uid=f"1.{number}.{z}",
        number=None,
        pixels=LAYOUT,
        position=(0.0, 0.0, z),
        orientation=AXIAL,
        pixel_spacing=(0.5, 0.7),
    )
    return replace(instance, **changes)


def series(instances: Sequence[Instance]) -> Series:
    return Series("digest", "study", "CT", tuple(instances), "1.2.3")


def refused(instances: Sequence[Instance]) -> InputRefused:
    with pytest.raises(InputRefused) as caught:
        examine(series(instances))
    assert caught.value.series == "digest"
    assert caught.value.advice
    return caught.value


def test_the_standards_equation() -> None:
    geometry = examine(series([slice_at(z) for z in (10.0, 2.0, 6.0)]))
    assert geometry.shape == (20, 10, 3)
    assert np.array_equal(geometry.affine, [[0.7, 0, 0, 0], [0, 0.5, 0, 0], [0, 0, 4, 2], [0, 0, 0, 1]])
    assert geometry.frame_of_reference_uid == "1.2.3"


def test_k_follows_the_normal_whatever_the_order() -> None:
    instances = [slice_at(z, orientation=(1.0, 0.0, 0.0, 0.0, -1.0, 0.0)) for z in (0.0, 1.0, 2.0, 3.0)]
    geometry = examine(series(instances))
    assert geometry.is_right_handed
    assert geometry.to_world([[0, 0, 0]]).tolist() == [[0, 0, 3]]
    assert np.array_equal(geometry.affine, examine(series(instances[::-1])).affine)


@pytest.mark.parametrize("noise", [1e-6, 1e-4])
def test_orientation_noise_passes(noise: float) -> None:
    rng = np.random.default_rng(1)
    instances = [
        slice_at(float(z), orientation=tuple(np.array(AXIAL) + noise * rng.uniform(-1, 1, 6)))
        for z in range(40)
    ]
    geometry = examine(series(instances))
    exact = examine(series([slice_at(float(z)) for z in range(40)]))
    assert np.abs(geometry.corners() - exact.corners()).max() < 20 * noise
    assert abs(float(geometry.directions[:, 0] @ geometry.directions[:, 1])) < 1e-8


def test_position_noise_below_the_tolerance_passes() -> None:
    assert examine(series([slice_at(z) for z in (0, 1.009, 2, 3.0, 3.991, 5)])).slice_step == 1.0
    assert examine(series([slice_at(z) for z in (0, 5.04, 10, 15.0, 20)])).slice_step == 5.0


def test_a_tilt_is_kept_and_told() -> None:
    instances = [slice_at(z, position=(0.0, 0.3 * z, float(z))) for z in range(4)]
    stack = judge(series(instances))
    assert np.allclose(stack.geometry.affine[:3, 2], [0.0, 0.3, 1.0])
    assert not stack.geometry.is_orthogonal
    (entry,) = stack.ledger
    assert entry.code == "gantry_tilt"
    assert f"{np.degrees(np.arctan(0.3)):.2f}" in entry.message
    assert not judge(series([slice_at(float(z)) for z in range(4)])).ledger


@pytest.mark.parametrize(
    ("lean", "header", "words"),
    [
        (0.0, 16.5, "the header says a tilt of 16.50 degrees, positions show none"),
        (0.0, 0.4, ""),
        (0.0, None, ""),
        (0.3, 0.0, "lean by 16.70 degrees; kept as shear; the header says 0.00 degrees"),
        (0.3, -16.5, "lean by 16.70 degrees; kept as shear"),
    ],
)
def test_positions_decide_on_the_tilt_and_a_header_that_disagrees_is_told(
    lean: float, header: float | None, words: str
) -> None:
    stack = judge(
        series([slice_at(z, position=(0.0, lean * z, float(z)), gantry_tilt=header) for z in (3, 0, 4, 2, 1)])
    )
    assert stack.geometry.is_orthogonal == (lean == 0)
    assert [entry.code for entry in stack.ledger] == (["gantry_tilt"] if words else [])
    for entry in stack.ledger:
        assert words in entry.message
        assert ("header" in entry.message) == ("header" in words)


def test_a_tilt_that_varies_is_refused_under_either_policy() -> None:
    bent = series(
        [
            slice_at(float(z), position=(0.0, 0.3 * z if z < 3 else 0.9 + 0.1 * (z - 3), float(z)))
            for z in range(7)
        ]
    )
    for policy in ("strict", "repair"):
        with pytest.raises(InputRefused) as caught:
            examine(bent, policy=policy)
        assert caught.value.code == "bad_geometry"


@pytest.mark.parametrize(
    ("zs", "shape", "code"),
    [((0, 1, 2, 4, 5), 6, "missing_slice"), ((0, 1, 2, 3.2, 4, 5), 6, "nonuniform_spacing")],
)
def test_repair_lays_a_uniform_grid_and_keeps_the_lean(zs: tuple[float, ...], shape: int, code: str) -> None:
    slices = [slice_at(z, position=(0.1 * z, 0.3 * z, float(z))) for z in zs]
    stack = judge(series(slices[::-1]), policy="repair")
    assert stack.needs_repair
    assert stack.geometry.shape == (20, 10, shape)
    assert np.allclose(stack.geometry.affine[:3, 2], [0.1, 0.3, 1.0])
    assert np.allclose(stack.geometry.affine[:3, 3], 0)
    assert [entry.code for entry in stack.ledger] == ["gantry_tilt", code, "interpolated_slice"]
    assert stack.ledger[2].slices == (3,)
    assert [i.name for i in stack.instances] == [f"{z:g}" for z in zs]
    assert np.array_equal(examine(series(slices), policy="repair").affine, stack.geometry.affine)
    with pytest.raises(InputRefused) as caught:
        judge(series(slices))
    assert caught.value.code == code


def test_repair_leaves_a_complete_stack_alone() -> None:
    stack = judge(series([slice_at(float(z)) for z in range(5)]), policy="repair")
    assert not stack.needs_repair
    assert not stack.ledger


@pytest.mark.parametrize(
    ("zs", "code", "words"),
    [
        ((*range(20), *range(25, 45)), "missing_slice", "at most 3 slices in a row, here 5"),
        ((0, 1, 2, 2.1, 3, 4), "nonuniform_spacing", "at least 0.25 mm apart"),
        ((0, 1, 3), "missing_slice", "at most 20% more slices, here 1 of 4"),
    ],
)
def test_more_than_repair_bridges_is_refused_with_its_limit(
    zs: tuple[float, ...], code: str, words: str
) -> None:
    with pytest.raises(InputRefused) as caught:
        judge(series([slice_at(float(z)) for z in zs]), policy="repair")
    assert (caught.value.code, caught.value.attribute) == (code, "ImagePositionPatient")
    assert "more than is repaired" in caught.value.message
    assert words in caught.value.message
    assert caught.value.files


@pytest.mark.parametrize(
    ("instances", "code"),
    [
        ([*(slice_at(float(z)) for z in (0, 1, 3, 4, 5, 6)), slice_at(3.0, 1)], "overlapping_positions"),
        (
            [slice_at(float(z), position=(0.5 * (z == 4), 0.0, z)) for z in (0, 1, 2, 4, 5, 6)],
            "bad_geometry",
        ),
        (
            [
                slice_at(float(z), orientation=AXIAL if z < 6 else (1.0, 0.0, 0.0, 0.0, 0.0, -1.0))
                for z in (0, 1, 2, 4, 5, 6)
            ],
            "mixed_orientation",
        ),
    ],
)
def test_repair_forgives_nothing_else(instances: list[Instance], code: str) -> None:
    with pytest.raises(InputRefused) as caught:
        judge(series(instances), policy="repair")
    assert caught.value.code == code


def test_too_few() -> None:
    error = refused([slice_at(0.0), slice_at(1.0)])
    assert (error.code, error.files) == ("too_few_slices", ("0", "1"))
    two = series([slice_at(0.0), slice_at(1.0)])
    assert examine(two, Tolerances(min_slices=2)).shape[2] == 2


def test_too_large() -> None:
    with pytest.raises(InputRefused, match="too_large"):
        examine(series([slice_at(float(z)) for z in range(3)]), Tolerances(max_voxels=599))


@pytest.mark.parametrize(
    ("zs", "files"),
    [
        ((0, 1, 2, 4, 5), ("2", "4")),
        ((0, 5, 15), ("5", "15")),
        ((0, 1, 2, 3, 7, 8, 10), ("3", "7", "8", "10")),
    ],
)
def test_missing_slices(zs: tuple[float, ...], files: tuple[str, ...]) -> None:
    error = refused([slice_at(z) for z in zs])
    assert (error.code, error.files, error.attribute) == ("missing_slice", files, "ImagePositionPatient")


@pytest.mark.parametrize(
    "zs", [(0, 1, 2, 3.5, 4.5), (0, 1, 2, 3, 3.5, 4), (0, 1, 2.02, 3, 4), (0, 1, 2.2, 3.6, 5.2)]
)
def test_uneven_steps(zs: tuple[float, ...]) -> None:
    error = refused([slice_at(z) for z in zs])
    assert (error.code, error.attribute) == ("nonuniform_spacing", "ImagePositionPatient")
    assert error.files


def test_steps_that_drift_are_uneven() -> None:
    zs = np.cumsum([0.0, *(1.0 + 0.0005 * n for n in range(20))])
    assert np.abs(np.diff(zs) - np.median(np.diff(zs))).max() < 0.01  # no single step shows it
    assert refused([slice_at(float(z)) for z in zs]).code == "nonuniform_spacing"


def test_a_stack_that_bends() -> None:
    instances = [slice_at(float(z), position=(0.05 * z * z, 0.0, float(z))) for z in range(5)]
    error = refused(instances)
    assert (error.code, error.attribute) == ("bad_geometry", "ImagePositionPatient")


def test_one_slice_shifted_in_its_plane() -> None:
    instances = [slice_at(float(z), position=(0.5 * (z == 2), 0.0, float(z))) for z in range(5)]
    error = refused(instances)
    assert (error.code, error.files) == ("bad_geometry", ("2",))


@pytest.mark.parametrize(
    ("change", "code", "attribute"),
    [
        ({"pixels": replace(LAYOUT, rows=11)}, "inconsistent_matrix", "Rows"),
        ({"pixel_spacing": (0.5, 0.71)}, "inconsistent_matrix", "PixelSpacing"),
        ({"orientation": (1.0, 0.0, 0.0, 0.0, 0.0, 1.0)}, "mixed_orientation", "ImageOrientationPatient"),
        ({"orientation": (1.0, 1e-3, 0.0, -1e-3, 1.0, 0.0)}, "mixed_orientation", "ImageOrientationPatient"),
        ({"rescale": Rescale(1.0, 0.0, "US")}, "mixed_series", "RescaleType"),
    ],
)
def test_one_slice_that_differs(change: dict[str, Any], code: str, attribute: str) -> None:
    error = refused([slice_at(float(z), **(change if z == 2 else {})) for z in range(5)])
    assert (error.code, error.files, error.attribute) == (code, ("2",), attribute)


def test_three_planes() -> None:
    planes = (AXIAL, (0.0, 1.0, 0.0, 0.0, 0.0, -1.0), (1.0, 0.0, 0.0, 0.0, 0.0, -1.0))
    instances = [slice_at(float(z), n, orientation=plane) for n, plane in enumerate(planes) for z in range(3)]
    assert refused(instances).code == "mixed_orientation"


def test_slices_at_one_place() -> None:
    error = refused([*(slice_at(float(z)) for z in range(4)), slice_at(2.0, 1)])
    assert (error.code, error.files) == ("overlapping_positions", ("2", "2 (1)"))


@pytest.mark.parametrize(
    ("field", "values", "keyword"),
    [
        ("temporal_position", (1, 2, 3), "TemporalPositionIdentifier"),
        ("echo_time", (10.0, 20.0, 30.0), "EchoTime"),
        ("b_value", (0.0, 500.0, 1000.0), "DiffusionBValue"),
        ("trigger_time", (0.0, 40.0, 80.0), "TriggerTime"),
        ("kernel", ("soft", "bone", "lung"), "ConvolutionKernel"),
        ("acquisition_number", (1, 2, 3), "AcquisitionNumber"),
    ],
)
def test_phases_are_told_apart(field: str, values: tuple[Any, ...], keyword: str) -> None:
    instances = [
        slice_at(float(z), n, acquisition=Acquisition(**{field: value}))
        for z in range(4)
        for n, value in enumerate(values)
    ]
    error = refused(instances)
    assert (error.code, error.attribute, len(error.files)) == ("temporal", keyword, 12)
