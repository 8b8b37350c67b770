"""The elements that ingest looks at (PS3.6 section 6); a member's name is the DICOM keyword."""

from __future__ import annotations

from enum import IntEnum

from tomosurf.ingest.private_tags import PrivateTag


class Tag(IntEnum):
    """Group and element number of every wanted element."""

    MediaStorageSOPClassUID = 0x00020002
    TransferSyntaxUID = 0x00020010
    SpecificCharacterSet = 0x00080005
    ImageType = 0x00080008
    SOPClassUID = 0x00080016
    SOPInstanceUID = 0x00080018
    AcquisitionDate = 0x00080022
    AcquisitionDateTime = 0x0008002A
    AcquisitionTime = 0x00080032
    Modality = 0x00080060
    SeriesDescription = 0x0008103E
    FrameType = 0x00089007
    ContrastBolusAgent = 0x00180010
    BodyPartExamined = 0x00180015
    SliceThickness = 0x00180050
    EchoTime = 0x00180081
    InversionTime = 0x00180082
    EchoNumbers = 0x00180086
    ProtocolName = 0x00181030
    TriggerTime = 0x00181060
    GantryDetectorTilt = 0x00181120
    ConvolutionKernel = 0x00181210
    FlipAngle = 0x00181314
    FrameAcquisitionDateTime = 0x00189074
    InversionTimes = 0x00189079
    EffectiveEchoTime = 0x00189082
    DiffusionBValue = 0x00189087
    DiffusionGradientOrientation = 0x00189089
    StudyInstanceUID = 0x0020000D
    SeriesInstanceUID = 0x0020000E
    AcquisitionNumber = 0x00200012
    InstanceNumber = 0x00200013
    ImagePositionPatient = 0x00200032
    ImageOrientationPatient = 0x00200037
    FrameOfReferenceUID = 0x00200052
    Laterality = 0x00200060
    TemporalPositionIdentifier = 0x00200100
    StackID = 0x00209056
    TemporalPositionIndex = 0x00209128
    NominalCardiacTriggerDelayTime = 0x00209153
    FrameAcquisitionNumber = 0x00209156
    DimensionIndexValues = 0x00209157
    NominalPercentageOfCardiacPhase = 0x00209241
    TemporalPositionTimeOffset = 0x0020930D
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
    FrameReferenceTime = 0x00541300
    ExtendedOffsetTable = 0x7FE00001


WANTED = frozenset(int(tag) for tag in (*Tag, *PrivateTag))
"""The same and the vendors' as plain numbers, for the scan."""


class Sequence(IntEnum):
    """Sequences of a multi-frame object whose items are looked into (PS3.3 C.7.6.16, C.8.13, C.8.15)."""

    SharedFunctionalGroupsSequence = 0x52009229
    PerFrameFunctionalGroupsSequence = 0x52009230
    MRImageFrameTypeSequence = 0x00189226
    MREchoSequence = 0x00189114
    MRTimingAndRelatedParametersSequence = 0x00189112
    MRDiffusionSequence = 0x00189117
    DiffusionGradientDirectionSequence = 0x00189076
    MRModifierSequence = 0x00189115
    CardiacSynchronizationSequence = 0x00189118
    CTAcquisitionDetailsSequence = 0x00189304
    CTReconstructionSequence = 0x00189314
    CTImageFrameTypeSequence = 0x00189329
    PETFrameTypeSequence = 0x00189751
    FrameContentSequence = 0x00209111
    PlanePositionSequence = 0x00209113
    PlaneOrientationSequence = 0x00209116
    TemporalPositionSequence = 0x00209310
    UnassignedSharedConvertedAttributesSequence = 0x00209170
    UnassignedPerFrameConvertedAttributesSequence = 0x00209171
    PixelMeasuresSequence = 0x00289110
    PixelValueTransformationSequence = 0x00289145


GROUPS = frozenset({Sequence.SharedFunctionalGroupsSequence, Sequence.PerFrameFunctionalGroupsSequence})
"""Where an object keeps what is common to its frames, and what each frame has of its own."""

OF_FRAMES = frozenset(
    {
        Tag.AcquisitionDate,
        Tag.AcquisitionDateTime,
        Tag.AcquisitionNumber,
        Tag.AcquisitionTime,
        Tag.ConvolutionKernel,
        Tag.DiffusionBValue,
        Tag.DiffusionGradientOrientation,
        Tag.DimensionIndexValues,
        Tag.EchoNumbers,
        Tag.EchoTime,
        Tag.EffectiveEchoTime,
        Tag.FlipAngle,
        Tag.FrameAcquisitionDateTime,
        Tag.FrameAcquisitionNumber,
        Tag.FrameReferenceTime,
        Tag.FrameType,
        Tag.GantryDetectorTilt,
        Tag.ImageOrientationPatient,
        Tag.ImagePositionPatient,
        Tag.InversionTime,
        Tag.InversionTimes,
        Tag.NominalCardiacTriggerDelayTime,
        Tag.NominalPercentageOfCardiacPhase,
        Tag.PixelSpacing,
        Tag.RescaleIntercept,
        Tag.RescaleSlope,
        Tag.RescaleType,
        Tag.SliceThickness,
        Tag.StackID,
        Tag.TemporalPositionIdentifier,
        Tag.TemporalPositionIndex,
        Tag.TemporalPositionTimeOffset,
        Tag.TriggerTime,
    }
)
"""What a frame may say of its own; nothing else is taken from functional groups."""
