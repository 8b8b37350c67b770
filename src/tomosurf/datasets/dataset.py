"""What a labelled data set is once its form is forgotten, and what a reader of one must offer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Protocol, runtime_checkable

from tomosurf.data.finding import Finding
from tomosurf.errors import DataError


@dataclass(frozen=True, slots=True, eq=False)
class ListedCase:
    """One case of a data set: where its files are, not yet opened.

    ``name`` is unique in the data set, made of file names. ``images`` are its channels in order. The reference
    is either one file of ``labels`` or, by structure, ``masks`` whose voxels above zero are inside.
    """

    name: str
    images: tuple[Path, ...]
    labels: Path | None = None
    masks: Mapping[str, Path] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.images or (self.labels is None) == (not self.masks):
            raise DataError("a labelled case has an image, and either a label map or masks")
        object.__setattr__(self, "masks", MappingProxyType(dict(self.masks)))

    @property
    def references(self) -> tuple[Path, ...]:
        """The files that hold the reference, in a fixed order."""
        if self.labels is not None:
            return (self.labels,)
        return tuple(self.masks[name] for name in sorted(self.masks))


@dataclass(frozen=True, slots=True, eq=False)
class DataSet:
    """Cases whose images and references are both there, and what is wrong with the others.

    Args:
        form: the reader's name in the registry.
        title: what the data set calls itself.
        root: the folder that every file lies in.
        cases: in the order of their names.
        structures: name to the label values that make it up, in the order of the labels; an empty tuple where a
            structure is a file of its own; empty when the data set doesn't name its labels.
        modality: "CT", "MR" or "PT"; "" when the data set doesn't say.
        ignored: the label of voxels that nobody labelled (nnU-Net's ``ignore``), or None.
        findings: what is missing or odd, case by case.
    """

    form: str
    title: str
    root: Path
    cases: tuple[ListedCase, ...]
    structures: Mapping[str, tuple[int, ...]]
    modality: str = ""
    ignored: int | None = None
    findings: tuple[Finding, ...] = ()

    def __post_init__(self) -> None:
        names = [case.name for case in self.cases]
        if len(set(names)) != len(names):
            raise DataError("two cases of the data set share a name")
        object.__setattr__(self, "cases", tuple(sorted(self.cases, key=lambda case: case.name)))
        object.__setattr__(self, "structures", MappingProxyType(dict(self.structures)))


@runtime_checkable
class DataSetReader(Protocol):
    """Reads one form of data set: lists its cases without opening an image."""

    @property
    def title(self) -> str:
        """The form, as people call it."""

    def recognises(self, path: Path) -> bool:
        """Whether ``path``, a folder or a file, looks like this form; never raises for what is readable."""

    def read(self, path: Path) -> DataSet:
        """The data set at ``path``.

        Raises:
            ConfigError: it isn't of this form, or names a file that lies outside of it.
        """
