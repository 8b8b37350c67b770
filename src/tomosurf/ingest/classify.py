"""Whether a DICOM object is a slice image, or was never meant to be one."""

from __future__ import annotations

from tomosurf.data.codes import notice
from tomosurf.data.notice import Notice
from tomosurf.ingest.elements import Elements
from tomosurf.ingest.header import Header
from tomosurf.ingest.tags import Tag
from tomosurf.ingest.values import text, texts

STORAGE = "1.2.840.10008.5.1.4.1.1."
SLICE_CLASSES = {STORAGE + "2": "CT", STORAGE + "4": "MR", STORAGE + "128": "PT"}
"""CT, MR and PET Image Storage (PS3.4 Annex B), and their modality."""
FRAMES_CLASSES = {STORAGE + tail: "CT" for tail in ("2.1", "2.2")}
FRAMES_CLASSES |= {STORAGE + tail: "MR" for tail in ("4.1", "4.3", "4.4")}
FRAMES_CLASSES |= {STORAGE + tail: "PT" for tail in ("128.1", "130")}
"""Enhanced and legacy converted CT, MR and PET Image Storage, and their modality."""
SECONDARY_CAPTURE = STORAGE + "7"
DIRECTORY = "1.2.840.10008.1.3.10"


def modality_of(elements: Elements) -> str:
    """The modality by SOP class, else by Modality: rules hang on it that a wrong Modality would bend."""
    sop_class = text(elements, Tag.SOPClassUID)
    return SLICE_CLASSES.get(sop_class) or FRAMES_CLASSES.get(sop_class) or text(elements, Tag.Modality)


def not_a_slice(header: Header, name: str) -> Notice | None:
    """Why the object in ``header`` is passed over, or None when it is a slice image.

    The SOP class decides; only where a file has none does the modality. Image Type SECONDARY is no reason:
    it marks images derived after the exam, also cropped or reformatted slices (PS3.3 C.7.6.1.1.2).
    """
    elements = header.elements
    sop_class = text(elements, Tag.SOPClassUID)
    if sop_class == SECONDARY_CAPTURE or sop_class.startswith(SECONDARY_CAPTURE + "."):
        return notice("secondary_capture_skipped", "a secondary capture, no slice", files=(name,))
    known = sop_class in SLICE_CLASSES or sop_class in FRAMES_CLASSES
    if not known and (sop_class or text(elements, Tag.Modality) not in SLICE_CLASSES.values()):
        what = "a DICOM directory" if sop_class == DIRECTORY else "an object that holds no slices"
        return notice("non_image_skipped", what, files=(name,), attribute=Tag.SOPClassUID.name)
    if "LOCALIZER" in texts(elements, Tag.ImageType):
        return notice("localizer_skipped", "a localizer", files=(name,), attribute=Tag.ImageType.name)
    return None
