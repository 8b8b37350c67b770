"""The elements that ingest looks at (PS3.6 section 6); a member's name is the DICOM keyword."""

from __future__ import annotations

from enum import IntEnum


class Tag(IntEnum):
    """Group and element number of every wanted element."""

    MediaStorageSOPClassUID = 0x00020002
    TransferSyntaxUID = 0x00020010
    ImageType = 0x00080008
    SOPClassUID = 0x00080016
    SOPInstanceUID = 0x00080018
    Modality = 0x00080060
    SliceThickness = 0x00180050
    EchoTime = 0x00180081
    TriggerTime = 0x00181060
    ConvolutionKernel = 0x00181210
    DiffusionBValue = 0x00189087
    StudyInstanceUID = 0x0020000D
    SeriesInstanceUID = 0x0020000E
    AcquisitionNumber = 0x00200012
    InstanceNumber = 0x00200013
    ImagePositionPatient = 0x00200032
    ImageOrientationPatient = 0x00200037
    FrameOfReferenceUID = 0x00200052
    Laterality = 0x00200060
    TemporalPositionIdentifier = 0x00200100
    SamplesPerPixel = 0x00280002
    PhotometricInterpretation = 0x00280004
    NumberOfFrames = 0x00280008
    Rows = 0x00280010
    Columns = 0x00280011
    PixelSpacing = 0x00280030
    BitsAllocated = 0x00280100
    BitsStored = 0x00280101
    HighBit = 0x00280102
    PixelRepresentation = 0x00280103
    PixelPaddingValue = 0x00280120
    PixelPaddingRangeLimit = 0x00280121
    BurnedInAnnotation = 0x00280301
    RescaleIntercept = 0x00281052
    RescaleSlope = 0x00281053
    RescaleType = 0x00281054
    LossyImageCompression = 0x00282110
    ModalityLUTSequence = 0x00283000


WANTED = frozenset(int(tag) for tag in Tag)
"""The same as plain numbers, for the scan."""
