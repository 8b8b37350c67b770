"""A whole object without its patient: its elements, what must be there, and what says that it was done."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tomosurf.deidentify.element import DUMMY, Rules, without_patient
from tomosurf.deidentify.identifiers import Identifiers
from tomosurf.deidentify.key import Key
from tomosurf.deidentify.options import METHOD, DeidentifyOptions
from tomosurf.ingest.classify import FRAMES_CLASSES, modality_of
from tomosurf.ingest.elements import Elements
from tomosurf.ingest.vendors import b_value, is_mosaic

if TYPE_CHECKING:
    from pydicom import Dataset

PET = "1.2.840.10008.5.1.4.1.1.128"
REQUIRED = (
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "AccessionNumber",
    "ReferringPhysicianName",
    "Manufacturer",
)
"""Type 2 in every image: there, be it empty."""
FRAME_DATES = frozenset({"AcquisitionDateTime", "FrameAcquisitionDateTime", "FrameReferenceDateTime"})
"""Type 1C where they occur: a dummy stands for them in any object."""


def keep_private_meaning(result: Dataset, elements: Elements) -> None:
    """Say in standard attributes of ``result`` what ``elements``, of its original, say in private ones.

    Without a vendor's b-value the volumes of a series can't be told apart, and without the mark of a mosaic its
    tiles would pass for a slice.
    """
    if modality_of(elements) != "MR":
        return
    value = b_value(elements)
    if value is not None and "DiffusionBValue" not in result and result.SOPClassUID not in FRAMES_CLASSES:
        result.DiffusionBValue = value
    kinds = list(result.get("ImageType") or ("DERIVED", "PRIMARY"))
    if is_mosaic(elements) and "MOSAIC" not in kinds:
        result.ImageType = [*kinds, "MOSAIC"]


def deidentified(dataset: Dataset, key: Key, options: DeidentifyOptions, identifiers: Identifiers) -> Dataset:
    """``dataset``, an image's, without its patient (PS3.15 E.1); the same pixel data under the same syntax.

    The result has its file meta information and a preamble of zeros.
    """
    from pydicom import Dataset as NewDataset

    patient = _patient(dataset)
    sop_class = str(dataset.get("SOPClassUID", ""))
    shift = key.shift(patient) if options.shift_dates else 0
    result = without_patient(dataset, Rules(options, key, identifiers, shift, *_obligations(sop_class)))
    if "SpecificCharacterSet" in result:
        del result.SpecificCharacterSet  # what stays is ASCII
    name = key.digest("patient", patient)
    result.PatientName, result.PatientID = f"ANONYMOUS^{name}", name
    for keyword in REQUIRED:
        if keyword not in result:
            setattr(result, keyword, "")
    result.StudyID = key.digest("study", str(dataset.get("StudyInstanceUID", "")))
    if "FrameOfReferenceUID" in result:
        result.PositionReferenceIndicator = ""
    if sop_class in FRAMES_CLASSES:
        _fill_equipment(result)
    result.PatientIdentityRemoved = "YES"
    result.DeidentificationMethod = METHOD
    result.LongitudinalTemporalInformationModified = "MODIFIED" if shift else "REMOVED"
    codes = []
    for value, meaning in options.codes:
        code = NewDataset()
        code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, "DCM", meaning
        codes.append(code)
    result.DeidentificationMethodCodeSequence = codes
    return result


def _patient(dataset: Dataset) -> str:
    """What tells patients apart: the identifier, else the name, else the study."""
    for keyword in ("PatientID", "PatientName", "StudyInstanceUID"):
        if text := str(dataset.get(keyword, "") or "").strip():
            return text
    return ""


def _obligations(sop_class: str) -> tuple[frozenset[str], frozenset[str]]:
    """Dates and times that need a value, and those that may be empty, by the object's type (PS3.3)."""
    if sop_class in FRAMES_CLASSES:
        return FRAME_DATES | {"ContentDate", "ContentTime"}, frozenset({"StudyDate", "StudyTime"})
    empty = frozenset({"StudyDate", "StudyTime", "ContentDate", "ContentTime"})
    if sop_class == PET:
        return FRAME_DATES | {"SeriesDate", "SeriesTime"}, empty | {"AcquisitionDate", "AcquisitionTime"}
    return FRAME_DATES, empty


def _fill_equipment(result: Dataset) -> None:
    """Enhanced General Equipment (C.7.5.2) asks for all four, and for a date of the content."""
    result.Manufacturer = result.get("Manufacturer") or "UNKNOWN"
    result.ManufacturerModelName = result.get("ManufacturerModelName") or "UNKNOWN"
    result.DeviceSerialNumber = result.SoftwareVersions = "0"
    result.ContentDate = result.get("ContentDate") or DUMMY["DA"]
    result.ContentTime = result.get("ContentTime") or DUMMY["TM"]
