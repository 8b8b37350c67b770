"""Is there a head with a face in an outline of the body? When that can't be excluded, there is.

The outline is cut into sections across the patient's long axis. A head is a stack of sections of a head's size,
taller than a neck, with nothing above it that is larger: it ends in a dome, or where the image ends.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from math import pi

import numpy as np
from numpy.typing import NDArray

from tomosurf.data.segmentation import Segment, Segmentation

SKIN_CODES = frozenset({"39937001", "181469002", "38266002", "119325001"})
"""SNOMED CT: skin structure, entire skin, entire body, skin part."""

_NAMES = re.compile(r"(^|[_-])(skin|body|outline|external|head|face|scalp)([_-]|$)")
_UNNAMED = re.compile(r"label_\d+")

LARGEST_CM2 = 380.0
"""Area of the ellipse in the box around a head's largest section; larger sections are trunks."""

LEAST_CM2 = 80.0
"""The same of a head's largest section at least: a newborn's at term has 86 (95 x 115 mm); smaller is an arm."""

SMALL_CM2 = 40.0
"""Sections smaller than this may have any form: domes, noses, chins."""

WIDEST = 1.1
"""Width over depth of a head, at most: heads are longer than wide, trunks wider than deep."""

LEAST_HEIGHT_MM = 60.0
"""Height from which a stack of such sections can hold a face, and not only a neck."""

STEP_MM = 4.0
LIKE = 0.6
"""Two sections side by side at the image's end whose areas differ by less than this factor are legs."""


@dataclass(frozen=True, slots=True)
class Head:
    """Where a head may be, LPS mm: the box around it, and how its stack of sections ends above."""

    low: tuple[float, float, float]
    high: tuple[float, float, float]
    closed: bool

    @property
    def reason(self) -> str:
        """What speaks for a head, in words."""
        width, depth, height = (b - a for a, b in zip(self.low, self.high, strict=True))
        end = "closed above" if self.closed else "cut by the end of the image above"
        return f"a part of head's size, {width:.0f} x {depth:.0f} x {height:.0f} mm, {end}"


@dataclass(frozen=True, slots=True)
class _Section:
    """The box around one piece of one section: x and y, LPS mm, and z of the section."""

    x: tuple[float, float]
    y: tuple[float, float]
    z: float

    @property
    def area_cm2(self) -> float:
        return pi / 4 * (self.x[1] - self.x[0]) * (self.y[1] - self.y[0]) / 100

    @property
    def like_head(self) -> bool:
        if self.area_cm2 <= SMALL_CM2:
            return True
        return self.area_cm2 <= LARGEST_CM2 and self.x[1] - self.x[0] <= WIDEST * (self.y[1] - self.y[0])

    def overlaps(self, other: _Section) -> bool:
        """Whether half of the smaller box lies in the other."""
        width = min(self.x[1], other.x[1]) - max(self.x[0], other.x[0])
        depth = min(self.y[1], other.y[1]) - max(self.y[0], other.y[0])
        least = min(self.area_cm2, other.area_cm2)
        return width > 0 and depth > 0 and width * depth / 100 * pi / 4 >= 0.5 * least


def may_show_face(segment: Segment) -> bool:
    """Whether a structure is the outline of a body by its role, code or name, or may be since nobody named it."""
    if segment.role == "outline" or segment.code.value in SKIN_CODES:
        return True
    name = segment.name.lower()
    return _NAMES.search(name) is not None or _UNNAMED.fullmatch(name) is not None


def find_head(segmentation: Segmentation, label: int) -> Head | None:
    """The largest head that the voxels of ``label`` may hold; None when there can be none."""
    levels = list(_levels(segmentation, label))
    heads = []
    for number, sections in enumerate(levels):
        for section in sections:
            above = levels[number - 1] if number else []
            if section.like_head and not any(section.overlaps(other) for other in above):
                stack = _stack(levels, number, section)
                if not (number == 0 and _is_leg(section, sections)) and _holds_face(stack):
                    heads.append(_head(stack, closed=number > 0))
    return max(heads, key=lambda head: head.high[2] - head.low[2], default=None)


def _stack(levels: list[list[_Section]], number: int, section: _Section) -> list[_Section]:
    """The sections of a head's size below ``section``, each beneath the one before."""
    stack = [section]
    for below in levels[number + 1 :]:
        following = [other for other in below if other.like_head and other.overlaps(stack[-1])]
        if not following:
            break
        stack.append(max(following, key=lambda other: other.area_cm2))
    return stack


def _holds_face(stack: list[_Section]) -> bool:
    height = stack[0].z - stack[-1].z
    return height >= LEAST_HEIGHT_MM and max(section.area_cm2 for section in stack) >= LEAST_CM2


def _is_leg(section: _Section, beside: list[_Section]) -> bool:
    """Whether another section of about the same size lies beside this one, where the image ends above."""
    others = [other for other in beside if other is not section and other.area_cm2 > SMALL_CM2 / 2]
    return any(LIKE < other.area_cm2 / max(section.area_cm2, 1e-9) < 1 / LIKE for other in others)


def _head(stack: list[_Section], closed: bool) -> Head:
    widest = max(stack, key=lambda section: section.area_cm2)
    low, high = (widest.x[0], widest.y[0], stack[-1].z), (widest.x[1], widest.y[1], stack[0].z)
    return Head(low, high, closed)


def _levels(segmentation: Segmentation, label: int) -> Iterator[list[_Section]]:
    """The pieces of each section from the head downwards; the first level is the image's end above, if it is cut.

    A level without a piece stands above a structure that ends within the image.
    """
    from scipy import ndimage

    geometry = segmentation.geometry
    axis = int(np.abs(geometry.directions[2]).argmax())
    up = geometry.directions[2, axis] > 0
    planes = np.moveaxis(segmentation.labels, axis, 2)
    others = [a for a in range(3) if a != axis]
    every = max(1, int(STEP_MM / geometry.spacing[axis]))
    order = list(range(planes.shape[2]))[:: -every if up else every]
    for k in order:
        mask = planes[:, :, k] == label
        numbered, _ = ndimage.label(mask)
        sections = []
        for box in ndimage.find_objects(numbered):
            index = np.zeros((4, 3))
            ends = [(part.start - 0.5, part.stop - 0.5) for part in box]
            index[:, axis] = k
            index[:, others] = [(a, b) for a in ends[0] for b in ends[1]]
            sections.append(_section(geometry.to_world(index)))
        yield [section for section in sections if section.area_cm2 > 1.0]


def _section(corners: NDArray[np.float64]) -> _Section:
    low, high = corners.min(axis=0), corners.max(axis=0)
    return _Section(
        (float(low[0]), float(high[0])), (float(low[1]), float(high[1])), float(corners[:, 2].mean())
    )
