"""The words in which input is refused, skipped or warned of and ledgers are kept, with cause and cure.

docs/reference/ingest-codes.md is :func:`page`, word for word.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from tomosurf.data.notice import Notice
from tomosurf.errors import InputRefused

Kind = Literal["refused", "skipped", "warning", "ledger"]


@dataclass(frozen=True, slots=True)
class IngestCode:
    """One word: what kinds of notice carry it, what causes it, and what cures it."""

    name: str
    kinds: tuple[Kind, ...]
    cause: str
    cure: str


_TABLE = (
    IngestCode(
        "bad_geometry",
        ("refused",),
        "Position, orientation, pixel spacing or frame of reference can't be read, contradicts itself or "
        "differs where it must not; or the slices don't lie along one straight line.",
        "Export the series again from its source; a stack that bends or turns is no single volume.",
    ),
    IngestCode(
        "burned_in_annotation",
        ("refused", "warning"),
        "Burned In Annotation is YES: text may stand in the pixels. De-identification refuses such files.",
        "Look at the slices before passing anything on; the text may identify the patient.",
    ),
    IngestCode(
        "colour",
        ("refused",),
        "The slices are in colour: several samples a voxel, or a palette.",
        "Send the original greyscale series, not a fused or colour-coded one.",
    ),
    IngestCode(
        "conflicting_duplicate",
        ("refused",),
        "Two files carry the same SOP Instance UID, and differ.",
        "Keep the one that is right; the sender wrote one UID twice.",
    ),
    IngestCode(
        "decoder_failed",
        ("refused",),
        "The process that decodes compressed slices crashed, hung or took more memory than a slice may.",
        "Transfer the file again; if it fails again, it is damaged or made to do harm.",
    ),
    IngestCode(
        "derived",
        ("warning",),
        "Image Type says DERIVED: values were computed from other images (reformatted, subtracted, cropped).",
        "Prefer the original series where there is one.",
    ),
    IngestCode(
        "duplicate_instance",
        ("skipped",),
        "A file is byte for byte a copy of another one in the input, or has the same pixels at the same place "
        "under another SOP Instance UID; the other one was taken.",
        "Nothing to do.",
    ),
    IngestCode(
        "gantry_tilt",
        ("ledger",),
        "Every slice is shifted in its plane by the same step: a tilted gantry. The volume's affine is "
        "sheared, exactly as acquired. Or Gantry/Detector Tilt names an angle that the positions don't have.",
        "Nothing to do for a lean; tools that assume right angles need `--rectify`. Where header and positions "
        "disagree, compare with the original export.",
    ),
    IngestCode(
        "identifier_left",
        ("refused",),
        "A de-identified file still held a value that identifies the patient in the input; it was taken away.",
        "Leave the file out, or have its pixel data and text attributes looked at; report the case.",
    ),
    IngestCode(
        "inconsistent_matrix",
        ("refused",),
        "Rows, columns or pixel spacing differ between slices of one series.",
        "Send the series that belong apart as separate series.",
    ),
    IngestCode(
        "instance_numbers_incomplete",
        ("warning",),
        "Instance numbers have gaps or occur twice, though the positions are complete.",
        "Check that the transfer was complete: slices missing at an end can't be told from positions.",
    ),
    IngestCode(
        "interpolated_slice",
        ("ledger",),
        "Under the policy repair: these slices of the volume weren't acquired, but interpolated along the "
        "stack by a monotone cubic, and rounded to whole numbers where the volume holds whole numbers.",
        "Don't rely on anything seen in these slices alone; send the series again, complete.",
    ),
    IngestCode(
        "invalid_uid",
        ("refused", "warning"),
        "Study, Series or SOP Instance UID is absent (refused) or isn't written as a UID is (warning).",
        "Export the files again from their source.",
    ),
    IngestCode(
        "larger_than_crop",
        ("refused",),
        "The model knows crops around one structure only, and the image is larger.",
        "Crop the image, or run a protocol that finds the place: `tomosurf segment --protocol NAME`.",
    ),
    IngestCode(
        "localizer_skipped",
        ("skipped",),
        "Image Type says LOCALIZER: a scout image for planning the scan.",
        "Nothing to do.",
    ),
    IngestCode(
        "lossy_compression",
        ("ledger",),
        "The slices went through a lossy compression, by their header, their transfer syntax or the compressed "
        "image itself: values differ from those that were acquired.",
        "Prefer the losslessly stored series where there is one.",
    ),
    IngestCode(
        "missing_pixel_spacing",
        ("refused",),
        "Pixel Spacing is absent: nobody can tell millimetres.",
        "Export the series again from its source; Imager Pixel Spacing is no substitute.",
    ),
    IngestCode(
        "missing_position",
        ("refused",),
        "Image Position (Patient) or Image Orientation (Patient) is absent: the slice has no place in space.",
        "Export the series again from its source.",
    ),
    IngestCode(
        "missing_rescale",
        ("refused",),
        "Rescale Slope or Intercept is absent, unreadable or zero where the modality needs it: stored values "
        "have no unit.",
        "Export the series again from its source.",
    ),
    IngestCode(
        "missing_slice",
        ("refused", "ledger"),
        "A step between neighbouring slices is a multiple of the others: slices are missing between them.",
        "Send the series again, complete. `--policy repair` interpolates a few missing slices and marks them.",
    ),
    IngestCode(
        "mixed_orientation",
        ("refused",),
        "Image Orientation (Patient) differs between slices of one series.",
        "Send the stacks apart; three-plane localizers are no volume.",
    ),
    IngestCode(
        "mixed_series",
        ("refused",),
        "Files of one Series Instance UID disagree on study, modality, frame of reference or laterality; or a few "
        "slices belong into a stack by their place, but differ in rescale type, image type, kernel, echo "
        "time, inversion time or b-value.",
        "Send the series that belong apart under UIDs of their own.",
    ),
    IngestCode(
        "modality_lut",
        ("refused",),
        "Stored values go through a Modality LUT Sequence, which isn't supported.",
        "Export the series with Rescale Slope and Intercept.",
    ),
    IngestCode(
        "monochrome1",
        ("ledger",),
        "Photometric Interpretation is MONOCHROME1: low values are shown bright. Values are left as stored.",
        "Nothing to do; presentation isn't data.",
    ),
    IngestCode(
        "mosaic",
        ("refused",),
        "Image Type says MOSAIC, or Siemens' private NumberOfImagesInMosaic a number above one: many slices tiled "
        "into one image.",
        "Export the series unmosaicked.",
    ),
    IngestCode(
        "multi_frame",
        ("refused",),
        "A multi-frame object without the functional groups that place its frames, or whose compressed frames "
        "can't be told apart.",
        "Export the series as enhanced CT, MR or PET images with all their attributes, or as single-frame ones.",
    ),
    IngestCode(
        "no_dicom",
        ("refused", "skipped"),
        "The file isn't DICOM; or, of the whole input, not one file is.",
        "Check the folder that was given. A ZIP inside a folder or a ZIP isn't opened.",
    ),
    IngestCode(
        "no_image",
        ("refused",),
        "The input holds DICOM objects but no slice images.",
        "Check that the image series itself was exported, not only reports or localizers.",
    ),
    IngestCode(
        "no_matching_series",
        ("refused",),
        "The study's series can be read, but no protocol that was asked for takes one of them.",
        "Compare `tomosurf inspect` with the protocol's series rule, or name another --protocol.",
    ),
    IngestCode(
        "no_pixel_data",
        ("refused",),
        "An image without Pixel Data.",
        "Send the series again, complete; some archives hand out headers only.",
    ),
    IngestCode(
        "non_image_skipped",
        ("skipped",),
        "A DICOM object that holds no slices: report, segmentation, structure set, dose, presentation state, "
        "directory, projection or ultrasound.",
        "Nothing to do.",
    ),
    IngestCode(
        "nonuniform_spacing",
        ("refused", "ledger"),
        "Steps between neighbouring slices differ, and not by whole slices.",
        "Send one stack of uniform step; series put together from several don't make one volume. "
        "`--policy repair` resamples slightly uneven steps and marks the slices.",
    ),
    IngestCode(
        "nonzero_preamble",
        ("warning",),
        "The 128 bytes before DICM aren't zero: the file may be something else as well (a TIFF, a program).",
        "Don't run or pass on files of unknown origin.",
    ),
    IngestCode(
        "not_localised",
        ("refused",),
        "The place that a protocol's network looks at couldn't be found in the image: it shows another part of the "
        "body, is cut or too coarse, or has another contrast. The message names every gate that failed.",
        "Send a scan of the whole part in the protocol's contrast (mr-hippocampus: a T1 head, voxels of about 1 "
        "mm). Where the scan is right, set the bound under `localise.gates` of a protocol of your own.",
    ),
    IngestCode(
        "overlapping_positions",
        ("refused",),
        "Two or more different slices lie at the same place.",
        "Send the stacks apart: several reconstructions or phases share one series.",
    ),
    IngestCode(
        "overlapping_segments",
        ("refused",),
        "Two segments of one file claim the same voxel, and a label map gives a voxel one label.",
        "Export segments that overlap to files of their own.",
    ),
    IngestCode(
        "pixel_padding",
        ("ledger",),
        "Voxels carry the Pixel Padding Value: nothing was measured there. They are marked in the volume.",
        "Nothing to do.",
    ),
    IngestCode(
        "possibly_incomplete",
        ("refused", "ledger"),
        "A file may hold a slice of this series and can't be placed: it is damaged and names the series, or lies "
        "in a folder with its slices and can't say where it belongs, or can't be opened; or it is in a series of "
        "one or two slices and lies where the next slice would. Nobody can say that the stack is complete: a slice "
        "that is missing at an end leaves no gap.",
        "Fetch the file again, or move it away if it isn't of this series; `--policy repair` reads on and writes "
        "it down.",
    ),
    IngestCode(
        "rectified",
        ("ledger",),
        "A leaning stack was resampled onto right angles: each slice was shifted in its own plane. What lies "
        "outside the slices is marked as padding.",
        "Nothing to do.",
    ),
    IngestCode(
        "secondary_capture_skipped",
        ("skipped",),
        "A secondary capture: a screenshot or a scanned page.",
        "Nothing to do.",
    ),
    IngestCode(
        "size_mismatch",
        ("refused",),
        "The header's rows, columns and bits don't fit the pixel data's length or the "
        "compressed image's size.",
        "Export the file again from its source; its header or its data are wrong.",
    ),
    IngestCode(
        "temporal",
        ("refused",),
        "Every place was acquired several times, and no attribute parts the slices into honest stacks.",
        "Send one phase as a series of its own.",
    ),
    IngestCode(
        "too_few_slices",
        ("refused",),
        "A series has too few slices to make a volume.",
        "Send the whole series.",
    ),
    IngestCode(
        "too_large",
        ("refused",),
        "A slice, a series, a header or an archive is larger than the limit.",
        "Check the file; if it is sound, raise the limit through the library.",
    ),
    IngestCode(
        "truncated",
        ("refused",),
        "A file ends before its header or its pixel data do.",
        "Transfer the file again.",
    ),
    IngestCode(
        "unreadable_file",
        ("refused",),
        "A file can't be opened, is empty, or breaks the rules of its format.",
        "Check the file's permissions; transfer it again.",
    ),
    IngestCode(
        "unsafe_path",
        ("refused", "skipped"),
        "A ZIP member's name leads out of the archive or names a link or device (refused); a folder holds a "
        "link or special file (skipped).",
        "Pack plain files under plain names.",
    ),
    IngestCode(
        "unsupported_pixels",
        ("refused",),
        "Bits Allocated, Bits Stored, High Bit or Pixel Representation are of a kind that isn't supported.",
        "Export the series with 8, 16 or 32 bits allocated.",
    ),
    IngestCode(
        "unsupported_transfer_syntax",
        ("refused",),
        "The transfer syntax is absent or none that is read here; the message names it (MPEG, HEVC, JPEG XL, JPIP, "
        "SMPTE, the retired kinds of JPEG).",
        "Convert the files, for example to Explicit VR Little Endian.",
    ),
)

CODES = MappingProxyType({code.name: code for code in _TABLE})
"""Every code by its name."""


def refusal(
    code: str, message: str, *, files: tuple[str, ...] = (), attribute: str = "", series: str = ""
) -> InputRefused:
    """The error that refuses input under ``code``, with the table's cure as advice."""
    return InputRefused(
        code, message, advice=CODES[code].cure, files=files, attribute=attribute, series=series
    )


def notice(
    code: str, message: str, *, files: tuple[str, ...] = (), attribute: str = "", series: str = ""
) -> Notice:
    """The same as a :class:`Notice`, for what is skipped or warned of."""
    return Notice.of(refusal(code, message, files=files, attribute=attribute, series=series))


def page() -> str:
    """docs/reference/ingest-codes.md: every code with its kinds, cause and cure."""
    rows = "\n".join(f"| `{c.name}` | {', '.join(c.kinds)} | {c.cause} | {c.cure} |" for c in _TABLE)
    return f"""# Codes: what is said about input

What is said about input carries one of these words. They are stable; scripts can rely on them.

- **refused**: it should have become a volume and can't; the message names files and the DICOM attribute.
- **skipped**: it was never meant to become a volume.
- **warning**: it was taken, and is worth knowing.
- **ledger**: it is part of the volume's record and stands in the manifest.

| code | kind | cause | cure |
| --- | --- | --- | --- |
{rows}

This page is generated from `tomosurf.data.codes`:
`python -c "from tomosurf.data import codes; print(codes.page(), end='')" > docs/reference/ingest-codes.md`
"""
