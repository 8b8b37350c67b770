"""Every error that tomosurf raises on purpose.

::

    TomosurfError
    ├── ConfigError (ValueError)             a protocol, a model description or an argument is wrong
    ├── UnknownNameError (LookupError)       no protocol, model, exporter or check of that name
    ├── GeometryError (ValueError)           an affine or a shape that is no geometry
    ├── DataError (ValueError)               a value object that contradicts itself
    ├── InputRefused (ValueError)            input that can't be placed in space or read; has a code
    ├── ModelError (RuntimeError)            a model's files don't match its description, or it can't run
    ├── ExportError (RuntimeError)           a file could not be written as its format demands
    ├── RenderingUnavailable (RuntimeError)  no OpenGL library: no pictures
    ├── CaseFolderError (ValueError)         a folder is no case folder, or isn't what its manifest says
    └── MissingExtraError (ImportError)      an optional part of tomosurf isn't installed

A leaf also inherits the builtin that fits, so that ``except ValueError`` works as anyone expects.
Messages say what, where and what to do next; they never carry text from a patient's header.
"""

from __future__ import annotations


class TomosurfError(Exception):
    """Base of all errors raised on purpose."""


class ConfigError(TomosurfError, ValueError):
    """A protocol, a model description or an argument is wrong."""


class UnknownNameError(TomosurfError, LookupError):
    """A name that isn't registered; the message lists those that are."""


class GeometryError(TomosurfError, ValueError):
    """An affine or a shape that describes no grid in space."""


class DataError(TomosurfError, ValueError):
    """A value object whose parts contradict each other."""


class InputRefused(TomosurfError, ValueError):
    """Input that tomosurf won't turn into a volume, with the reason as a code.

    Attributes are those of :class:`tomosurf.data.notice.Notice`: ``code`` (one word, documented in
    docs/reference/ingest-codes.md), ``message``, ``advice``, ``files`` (names relative to the input),
    ``attribute`` (the DICOM keyword at fault) and ``series`` (digest).
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        advice: str = "",
        files: tuple[str, ...] = (),
        attribute: str = "",
        series: str = "",
    ) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message
        self.advice = advice
        self.files = files
        self.attribute = attribute
        self.series = series

    def __str__(self) -> str:
        where = (
            f" [{', '.join(self.files[:3])}{', ...' if len(self.files) > 3 else ''}]" if self.files else ""
        )
        attribute = f" ({self.attribute})" if self.attribute else ""
        advice = f" {self.advice}" if self.advice else ""
        return f"{self.code}: {self.message}{attribute}{where}{advice}"


class ModelError(TomosurfError, RuntimeError):
    """A model's files don't match its description, or the model can't run here."""


class ExportError(TomosurfError, RuntimeError):
    """A file could not be written as its format demands."""


class RenderingUnavailable(TomosurfError, RuntimeError):
    """This machine has no OpenGL library that VTK can use; the message says what to install."""


class CaseFolderError(TomosurfError, ValueError):
    """A folder that is no case folder, or isn't what its manifest says."""


class MissingExtraError(TomosurfError, ImportError):
    """An optional part isn't installed; the message names the extra."""
