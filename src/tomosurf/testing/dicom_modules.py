"""The header of a synthetic CT, MR or PET slice, module by module (PS3.3 A.3.3, A.4.3 and A.21.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.valuerep import DSfloat

from tomosurf.data.geometry import Geometry
from tomosurf.testing.dicom_writer import derived_uid

if TYPE_CHECKING:
    from tomosurf.testing.dicom_writer import SeriesOptions

SOP_CLASSES = {
    "CT": "1.2.840.10008.5.1.4.1.1.2",
    "MR": "1.2.840.10008.5.1.4.1.1.4",
    "PT": "1.2.840.10008.5.1.4.1.1.128",
}
DATE, TIME = "20200101", "120000"
"""Fixed, so that the same arguments give the same bytes."""


def header(options: SeriesOptions, geometry: Geometry, k: int) -> Dataset:
    """All attributes of slice ``k`` but for its pixels."""
    dataset = Dataset()
    for values in (
        _patient_and_study(options),
        _series(options, geometry),
        _image(options, k),
        _plane(geometry, k),
        _of_modality(options.modality, geometry, k),
        _rescale(options, k),
    ):
        for keyword, value in values.items():
            setattr(dataset, keyword, value)
    return dataset


def _of_modality(modality: str, geometry: Geometry, k: int) -> dict[str, Any]:
    """The modality's own image module."""
    if modality == "CT":
        return _CT
    if modality == "MR":
        return _MR | {"SpacingBetweenSlices": ds(geometry.slice_step)}
    return _PT | {"NumberOfSlices": geometry.shape[2], "ImageIndex": k + 1}


def about(options: SeriesOptions) -> dict[str, Any]:
    """What any object of a series says of patient, study, series and itself, whatever its slices."""
    nowhere = Geometry((1, 1, 1), np.eye(4))
    return _patient_and_study(options) | _series(options, nowhere) | _image(options, 0)


def put_pixels(dataset: Dataset, rows: NDArray[Any], options: SeriesOptions) -> None:
    """The Image Pixel module (C.7.6.3) of a (rows, columns) array, native little endian."""
    signed = rows.dtype.kind == "i"
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.Rows, dataset.Columns = rows.shape
    dataset.BitsAllocated = 16
    dataset.BitsStored = options.bits_stored
    dataset.HighBit = options.bits_stored - 1
    dataset.PixelRepresentation = int(signed)
    if options.padding is not None:
        dataset.add_new("PixelPaddingValue", "SS" if signed else "US", options.padding)
    dataset.add_new("PixelData", "OW", rows.astype(rows.dtype.newbyteorder("<")).tobytes())


def _patient_and_study(options: SeriesOptions) -> dict[str, Any]:
    """Patient (C.7.1.1), General Study (C.7.2.1)."""
    return {
        "PatientName": f"Phantom^{options.modality}",
        "PatientID": f"PHANTOM-{options.modality}",
        "PatientBirthDate": "",
        "PatientSex": "O",
        "PatientIdentityRemoved": "YES",
        "DeidentificationMethod": "Synthetic: belongs to no patient",
        "StudyInstanceUID": derived_uid("study", options.study),
        "StudyDate": DATE,
        "StudyTime": TIME,
        "ReferringPhysicianName": "",
        "StudyID": "1",
        "AccessionNumber": "",
    }


def _series(options: SeriesOptions, geometry: Geometry) -> dict[str, Any]:
    """General Series (C.7.3.1), Frame of Reference (C.7.4.1), General Equipment (C.7.5.1)."""
    return {
        "Modality": options.modality,
        "SeriesInstanceUID": derived_uid("series", options.study, options.series),
        "SeriesNumber": 1,
        "SeriesDate": DATE,
        "SeriesTime": TIME,
        "Laterality": "",
        "PatientPosition": "HFS",
        "FrameOfReferenceUID": geometry.frame_of_reference_uid or derived_uid("frame", options.study),
        "PositionReferenceIndicator": "",
        "Manufacturer": "tomosurf",
        "ManufacturerModelName": "phantom",
        "DeviceSerialNumber": "0",
        "SoftwareVersions": "1",
    }


def _image(options: SeriesOptions, k: int) -> dict[str, Any]:
    """General Image (C.7.6.1), SOP Common (C.12.1)."""
    return {
        "SOPClassUID": SOP_CLASSES[options.modality],
        "SOPInstanceUID": derived_uid("instance", options.study, options.series, k),
        "InstanceNumber": k + 1,
        "AcquisitionNumber": 1,
        "ContentDate": DATE,
        "ContentTime": TIME,
        "AcquisitionDate": DATE,
        "AcquisitionTime": TIME,
        "BurnedInAnnotation": "NO",
        "LossyImageCompression": "00",
    }


def _plane(geometry: Geometry, k: int) -> dict[str, Any]:
    """Image Plane (C.7.6.2); Pixel Spacing is between rows, then between columns."""
    along_row, down_rows, _ = geometry.spacing
    return {
        "ImagePositionPatient": [ds(v) for v in geometry.to_world([[0, 0, k]])[0]],
        "ImageOrientationPatient": [ds(v) for v in geometry.directions[:, :2].T.ravel()],
        "PixelSpacing": [ds(down_rows), ds(along_row)],
        "SliceThickness": ds(geometry.slice_step),
    }


_CT: dict[str, Any] = {
    "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
    "KVP": "120",
    "RescaleType": "HU",
    "WindowCenter": "40",
    "WindowWidth": "400",
    "ConvolutionKernel": "STANDARD",
}
"""CT Image (C.8.2.1)."""

_MR: dict[str, Any] = {
    "ImageType": ["DERIVED", "PRIMARY", "OTHER"],
    "ScanningSequence": ["GR", "IR"],
    "SequenceVariant": ["SP", "MP"],
    "ScanOptions": "",
    "MRAcquisitionType": "3D",
    "RepetitionTime": "",
    "EchoTime": "",
    "InversionTime": "",
    "EchoTrainLength": "",
}
"""MR Image (C.8.3.1): a T1-weighted gradient echo whose times are unknown."""


_PT: dict[str, Any] = {
    "ImageType": ["ORIGINAL", "PRIMARY"],
    "SeriesType": ["STATIC", "IMAGE"],
    "Units": "BQML",
    "CountsSource": "EMISSION",
    "CorrectedImage": ["DECY", "ATTN", "SCAT"],
    "DecayCorrection": "START",
    "CollimatorType": "NONE",
    "FrameReferenceTime": "0",
    "ActualFrameDuration": "60000",
    "DecayFactor": "1",
    "DoseCalibrationFactor": "1",
    "RadiopharmaceuticalInformationSequence": [],
}
"""PET Series and PET Image (C.8.9.1, C.8.9.4)."""


def _rescale(options: SeriesOptions, k: int) -> dict[str, Any]:
    """Modality LUT (C.11.1)."""
    pair: Any = options.rescale
    if pair is None:
        return {}
    slope, intercept = pair[k] if isinstance(pair[0], tuple) else pair
    return {"RescaleIntercept": ds(intercept), "RescaleSlope": ds(slope)}


def ds(value: float) -> DSfloat:
    """A Decimal String of at most 16 characters, minus zero as zero."""
    return DSfloat(float(value) + 0.0, auto_format=True)
