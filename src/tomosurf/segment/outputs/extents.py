"""Where in each plane of a slab each segment wins."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from tomosurf.segment.outputs.decision import Decision

Extent = tuple[int, int, NDArray[np.int_]]
"""A label, a plane, and (2, 2) start and stop of the label's box along the plane's two axes."""


def extents(winner: torch.Tensor, axis: int, decision: Decision) -> Iterator[Extent]:
    """Every label but background that wins anywhere in ``winner`` (x, y, z), plane by plane along ``axis``."""
    planes = winner.movedim(axis, 0)
    return by_tables(planes, decision) if winner.is_cuda else by_planes(planes.numpy(), decision)


def by_planes(planes: NDArray[np.int16], decision: Decision) -> Iterator[Extent]:
    """The same for (planes, rows, columns) of choices, one plane after the other: fast on a CPU."""
    from scipy.ndimage import find_objects

    labels = np.array(decision.labels)
    trivial = np.array_equal(labels, np.arange(len(labels)))
    for number, plane in enumerate(planes):
        named = np.ascontiguousarray(plane if trivial else labels[plane], np.int32)
        for label, box in enumerate(find_objects(named), 1):
            if box is not None:
                yield label, number, np.array([(cut.start, cut.stop) for cut in box])


def by_tables(planes: torch.Tensor, decision: Decision) -> Iterator[Extent]:
    """The same by two tables of the rows and columns in which labels win: all at once, and little leaves a GPU.

    Memory: 16 bytes a node.
    """
    count, rows, columns = planes.shape
    number = torch.arange(count, device=planes.device)[:, None, None]
    label = torch.tensor(decision.labels, device=planes.device)[planes.int()]
    tables = []
    for size, shape in ((rows, (1, -1, 1)), (columns, (1, 1, -1))):
        table = torch.zeros((decision.top + 1, count, size), dtype=torch.bool, device=planes.device)
        table[label, number, torch.arange(size, device=planes.device).view(shape)] = True
        tables.append(table.cpu().numpy())
    there = tables[0].any(axis=2)
    there[0] = False
    first = [table.argmax(axis=2) for table in tables]
    stop = [table.shape[2] - table[:, :, ::-1].argmax(axis=2) for table in tables]
    for own, plane in np.argwhere(there).tolist():
        yield own, plane, np.array([(first[n][own, plane], stop[n][own, plane]) for n in (0, 1)])
