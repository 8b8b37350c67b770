"""What is written over a picture: the view's name, the marks at its edges and the scale bar."""

from __future__ import annotations

from typing import Any

from vtkmodules.vtkCommonCore import vtkPoints
from vtkmodules.vtkCommonDataModel import vtkCellArray, vtkPolyData
from vtkmodules.vtkRenderingCore import vtkActor2D, vtkPolyDataMapper2D, vtkTextActor

INK = (0.13, 0.16, 0.2)
ROUND_LENGTHS_MM = tuple(m * 10.0**e for e in range(-2, 4) for m in (1, 2, 5))
LONGEST_SHARE = 0.3
"""The scale bar takes at most this share of the picture's width."""


def bar_length(mm_per_pixel: float, size: int) -> float:
    """The longest round length, in mm, that takes at most ``LONGEST_SHARE`` of a picture ``size`` wide.

    >>> bar_length(0.5, 900)
    100.0
    """
    fitting = [mm for mm in ROUND_LENGTHS_MM if mm <= LONGEST_SHARE * size * mm_per_pixel]
    return fitting[-1] if fitting else ROUND_LENGTHS_MM[0]


class Overlay:
    """Marks, caption and scale bar of one renderer, rewritten for each view."""

    def __init__(self, renderer: Any, size: int) -> None:
        self._size = size
        middle, edge = size // 2, size * 0.028
        places = [
            (edge, middle, "left", "centered"),
            (size - edge, middle, "right", "centered"),
            (middle, size - edge, "centered", "top"),
            (middle, edge, "centered", "bottom"),
        ]
        self._marks = [_text(renderer, place, size * 0.046, bold=True) for place in places]
        self._caption = _text(renderer, (edge, size - edge, "left", "top"), size * 0.036)
        self._length = _text(renderer, (edge, edge * 1.5, "left", "bottom"), size * 0.036)
        self._bar = vtkActor2D()
        self._bar.GetProperty().SetColor(*INK)
        renderer.AddViewProp(self._bar)

    def show(self, view: str, marks: tuple[str, str, str, str], mm_per_pixel: float) -> None:
        """Write the overlay for ``view``; ``marks`` are for the left, right, top and bottom edge."""
        for actor, letter in zip(self._marks, marks, strict=True):
            actor.SetInput(letter)
        self._caption.SetInput(view.capitalize())
        millimetres = bar_length(mm_per_pixel, self._size)
        self._length.SetInput(f"{millimetres:g} mm")
        self._bar.SetMapper(_bar(self._size * 0.028, millimetres / mm_per_pixel, self._size))


def _text(renderer: Any, place: tuple[float, float, str, str], height: float, bold: bool = False) -> Any:
    """A line of text at a pixel position, aligned as said."""
    x, y, across, along = place
    actor = vtkTextActor()
    actor.SetTextScaleModeToNone()
    actor.SetPosition(x, y)
    style = actor.GetTextProperty()
    style.SetFontFamilyToArial()
    style.SetFontSize(round(height))
    style.SetColor(*INK)
    style.SetBold(bold)
    getattr(style, f"SetJustificationTo{across.capitalize()}")()
    getattr(style, f"SetVerticalJustificationTo{along.capitalize()}")()
    renderer.AddViewProp(actor)
    return actor


def _bar(left: float, length: float, size: int) -> Any:
    """A filled bar, ``length`` pixels long, in the picture's lower left corner."""
    low, thickness = size * 0.026, max(3.0, size * 0.006)
    points, cells = vtkPoints(), vtkCellArray()
    for x, y in ((0, 0), (length, 0), (length, thickness), (0, thickness)):
        points.InsertNextPoint(left + x, low + y, 0)
    cells.InsertNextCell(4, (0, 1, 2, 3))
    shape = vtkPolyData()
    shape.SetPoints(points)
    shape.SetPolys(cells)
    mapper = vtkPolyDataMapper2D()
    mapper.SetInputData(shape)
    return mapper
