"""What is said about input that was refused, skipped or odd."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tomosurf.errors import InputRefused


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing to say about some input files.

    ``code`` is one word from docs/reference/ingest-codes.md. ``files`` are names relative to the input;
    ``series`` is a digest; ``attribute`` is the DICOM keyword at fault. No header text is carried.
    """

    code: str
    message: str
    advice: str = ""
    files: tuple[str, ...] = ()
    attribute: str = ""
    series: str = ""

    @classmethod
    def of(cls, error: InputRefused) -> Notice:
        """The same, from a refusal that was raised."""
        files = tuple(dict.fromkeys(error.files))  # frames of one object share its name
        return cls(error.code, error.message, error.advice, files, error.attribute, error.series)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Notice:
        """The notice that :meth:`as_dict` gave the values of."""
        return cls(**{**values, "files": tuple(values["files"])})

    def error(self) -> InputRefused:
        """The refusal that it tells of, to be raised."""
        return InputRefused(
            self.code,
            self.message,
            advice=self.advice,
            files=self.files,
            attribute=self.attribute,
            series=self.series,
        )

    def as_dict(self) -> dict[str, Any]:
        """Plain values for ``--json`` and the manifest."""
        return {
            "code": self.code,
            "message": self.message,
            "advice": self.advice,
            "series": self.series,
            "files": list(self.files),
            "attribute": self.attribute,
        }
