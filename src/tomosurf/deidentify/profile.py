"""What happens to an attribute: PS3.15 table E.1-1 and our own, shorter list of what may stay."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

_KEPT = """
    SpecificCharacterSet ImageType SOPClassUID SOPInstanceUID Modality Manufacturer ManufacturerModelName
    StudyInstanceUID SeriesInstanceUID SeriesNumber AcquisitionNumber InstanceNumber FrameOfReferenceUID
    PatientPosition Laterality ImageLaterality FrameLaterality BodyPartExamined PatientSex PatientAge
    PatientSize PatientWeight StudyDate StudyTime SeriesDate SeriesTime AcquisitionDate AcquisitionTime
    ContentDate ContentTime AcquisitionDateTime FrameAcquisitionDateTime FrameReferenceDateTime
    SeriesDescription ProtocolName ContrastBolusAgent DeviceSerialNumber

    ImagePositionPatient ImageOrientationPatient SliceLocation PixelSpacing SliceThickness
    SpacingBetweenSlices ImagesInAcquisition TemporalPositionIdentifier NumberOfTemporalPositions
    TemporalPositionIndex TemporalPositionTimeOffset StackID InStackPositionNumber DimensionIndexValues
    DimensionIndexPointer FunctionalGroupPointer DimensionOrganizationUID DimensionOrganizationType
    FrameAcquisitionNumber FrameAcquisitionDuration FrameReferenceTime ActualFrameDuration
    ExtendedOffsetTable ExtendedOffsetTableLengths AcquisitionDuration

    SamplesPerPixel PhotometricInterpretation PlanarConfiguration NumberOfFrames Rows Columns BitsAllocated
    BitsStored HighBit PixelRepresentation SmallestImagePixelValue LargestImagePixelValue PixelPaddingValue
    PixelPaddingRangeLimit RescaleIntercept RescaleSlope RescaleType WindowCenter WindowWidth
    VOILUTFunction PresentationLUTShape LossyImageCompression LossyImageCompressionRatio
    LossyImageCompressionMethod RecognizableVisualFeatures BurnedInAnnotation
    ModalityLUTSequence LUTDescriptor LUTData ModalityLUTType PixelData

    KVP DataCollectionDiameter ReconstructionDiameter GantryDetectorTilt TableHeight RotationDirection
    ExposureTime XRayTubeCurrent Exposure ExposureInmAs XRayTubeCurrentInmA ExposureTimeInms FilterType
    GeneratorPower FocalSpots ConvolutionKernel ConvolutionKernelGroup RevolutionTime SingleCollimationWidth
    TotalCollimationWidth TableSpeed TableFeedPerRotation SpiralPitchFactor CTDIvol AcquisitionType
    DistanceSourceToDetector DistanceSourceToPatient TubeAngle ReconstructionAlgorithm ReconstructionAngle
    ReconstructionFieldOfView ReconstructionPixelSpacing DataCollectionCenterPatient
    ReconstructionTargetCenterPatient MultienergyCTAcquisition

    ScanningSequence SequenceVariant ScanOptions MRAcquisitionType RepetitionTime EchoTime EchoNumbers
    InversionTime EchoTrainLength NumberOfAverages ImagingFrequency ImagedNucleus MagneticFieldStrength
    NumberOfPhaseEncodingSteps PercentSampling PercentPhaseFieldOfView PixelBandwidth TriggerTime
    CardiacSynchronizationTechnique NominalCardiacTriggerDelayTime NominalPercentageOfCardiacPhase
    RRIntervalTimeNominal NominalRespiratoryTriggerDelayTime NominalPercentageOfRespiratoryPhase
    CardiacNumberOfImages AcquisitionMatrix InPlanePhaseEncodingDirection FlipAngle SAR dBdt VariableFlipAngleFlag
    DiffusionBValue DiffusionDirectionality DiffusionGradientOrientation EffectiveEchoTime InversionTimes
    InversionRecovery FlowCompensation Spoiling RFEchoTrainLength GradientEchoTrainLength
    ResonantNucleus KSpaceFiltering ApplicableSafetyStandardAgency PulseSequenceName AngioFlag

    SeriesType Units CountsSource CorrectedImage DecayCorrection DecayFactor DoseCalibrationFactor
    GantryDetectorSlew TablePosition ReconstructionType IterativeReconstructionMethod NumberOfIterations
    NumberOfSubsets ScatterFractionFactor DeadTimeFactor SliceSensitivityFactor
    NumberOfSlices NumberOfTimeSlices ImageIndex CollimatorType ReprojectionMethod

    FrameType PixelPresentation VolumetricProperties VolumeBasedCalculationTechnique ComplexImageComponent
    AcquisitionContrast ContentQualification

    SharedFunctionalGroupsSequence PerFrameFunctionalGroupsSequence PixelMeasuresSequence
    PlanePositionSequence PlaneOrientationSequence FrameContentSequence PixelValueTransformationSequence
    FrameVOILUTSequence CTImageFrameTypeSequence MRImageFrameTypeSequence PETFrameTypeSequence
    CTAcquisitionTypeSequence CTAcquisitionDetailsSequence CTTableDynamicsSequence CTPositionSequence
    CTGeometrySequence CTReconstructionSequence CTExposureSequence CTXRayDetailsSequence FrameAnatomySequence
    AnatomicRegionSequence IrradiationEventIdentificationSequence TemporalPositionSequence
    MRTimingAndRelatedParametersSequence MREchoSequence MRImagingModifierSequence MRDiffusionSequence
    CardiacSynchronizationSequence RespiratorySynchronizationSequence PETFrameAcquisitionSequence
    PETDetectorMotionDetailsSequence PETPositionSequence PETFrameCorrectionFactorsSequence
    PETReconstructionSequence
    DiffusionGradientDirectionSequence MRFOVGeometrySequence MRModifierSequence MRAveragesSequence
    PixelValueTransformationSequence DimensionOrganizationSequence DimensionIndexSequence
    UnassignedSharedConvertedAttributesSequence UnassignedPerFrameConvertedAttributesSequence
    IrradiationEventUID CodeValue CodingSchemeDesignator CodeMeaning
    ReferencedImageSequence SourceImageSequence ReferencedSOPClassUID ReferencedSOPInstanceUID
    ReferencedFrameNumber
"""
KEPT = frozenset(_KEPT.split())
"""Keywords that may stay, in whatever sequence: identity of the object, place, pixels, how they were acquired.

Everything else is removed, which goes beyond table E.1-1. Those that the table names as well are emptied, replaced
by a dummy or mapped, as it asks: see :mod:`tomosurf.deidentify.element`.
"""


@cache
def table() -> dict[str, str]:
    """Table E.1-1: eight hexadecimal digits of the tag ("X" for any digit) to the basic profile's action."""
    lines = files("tomosurf.deidentify").joinpath("profile.tsv").read_text(encoding="utf-8").splitlines()
    rows = (line.split("\t") for line in lines if not line.startswith("#"))
    return {tag: action for tag, _, action in rows}


def action_of(tag: int) -> str:
    """The basic profile's action on a tag: "X", "Z", "D", "U" or several with "/"; "" where it has none."""
    digits = f"{tag:08X}"
    named = table()
    for pattern in (digits, f"{digits[:2]}XX{digits[4:]}", f"{digits[:2]}XXXXXX"):
        if pattern in named:
            return named[pattern]
    return ""
