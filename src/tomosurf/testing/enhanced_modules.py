"""What the standard asks of a multi-frame CT, MR or PET image besides its frames (PS3.3 A.36 on)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydicom import Dataset

from tomosurf.testing.dicom_modules import DATE, TIME
from tomosurf.testing.dicom_writer import derived_uid

SOP_CLASSES = {
    ("CT", False): "1.2.840.10008.5.1.4.1.1.2.1",
    ("MR", False): "1.2.840.10008.5.1.4.1.1.4.1",
    ("PT", False): "1.2.840.10008.5.1.4.1.1.130",
    ("CT", True): "1.2.840.10008.5.1.4.1.1.2.2",
    ("MR", True): "1.2.840.10008.5.1.4.1.1.4.4",
    ("PT", True): "1.2.840.10008.5.1.4.1.1.128.1",
}
"""By modality, and whether the object is a legacy converted one."""
FRAME_TYPES = {
    "CT": "CTImageFrameTypeSequence",
    "MR": "MRImageFrameTypeSequence",
    "PT": "PETFrameTypeSequence",
}

Values = Mapping[str, Any]


def made(values: Values) -> Dataset:
    """A data set; mappings, and lists of them, become sequences."""
    dataset = Dataset()
    for keyword, value in values.items():
        if isinstance(value, Mapping):
            setattr(dataset, keyword, [made(value)])
        elif isinstance(value, list) and value and isinstance(value[0], Mapping):
            setattr(dataset, keyword, [made(item) for item in value])
        else:
            setattr(dataset, keyword, value)
    return dataset


def of_object(modality: str, legacy: bool, frame_type: Sequence[str]) -> dict[str, Any]:
    """What the object says of itself."""
    values: dict[str, Any] = {
        "SOPClassUID": SOP_CLASSES[modality, legacy],
        "ImageType": list(frame_type),
        "ContentQualification": "RESEARCH",
        "AcquisitionContextSequence": [],
        "PresentationLUTShape": "IDENTITY",
        **DESCRIPTION,
    }
    if modality == "MR":
        values |= MR_DESCRIPTION
    if not legacy:
        values |= {"AcquisitionDateTime": DATE + TIME, "AcquisitionDuration": 1000.0}
        own: Mapping[str, Values] = {"CT": {}, "MR": MR_OBJECT, "PT": PET_OBJECT}
        values |= own[modality]
    return values


def of_frame_type(modality: str, frame_type: Sequence[str]) -> dict[str, Any]:
    """The frame type's functional group."""
    more = MR_DESCRIPTION if modality == "MR" else {}
    return {FRAME_TYPES[modality]: {"FrameType": list(frame_type), **DESCRIPTION, **more}}


def of_all_frames(modality: str, legacy: bool) -> dict[str, Any]:
    """Functional groups that all frames share, but for their measures."""
    if legacy:
        return {"UnassignedSharedConvertedAttributesSequence": {}}
    own: Values = {"CT": CT_SHARED, "MR": MR_SHARED, "PT": PET_SHARED}[modality]
    return {"FrameAnatomySequence": ANATOMY, **own}


def of_one_frame(legacy: bool, uid: str) -> dict[str, Any]:
    """Functional groups of one frame that say nothing of its place; ``uid`` is that of the slice it once was."""
    if not legacy:
        return {}
    source = {"ReferencedSOPClassUID": "1.2.840.10008.5.1.4.1.1.4", "ReferencedSOPInstanceUID": uid}
    return {"ConversionSourceAttributesSequence": source, "UnassignedPerFrameConvertedAttributesSequence": {}}


FRAME_TIMES: Values = {
    "FrameReferenceDateTime": DATE + TIME,
    "FrameAcquisitionDateTime": DATE + TIME,
    "FrameAcquisitionDuration": 1000.0,
}
DESCRIPTION: Values = {
    "PixelPresentation": "MONOCHROME",
    "VolumetricProperties": "VOLUME",
    "VolumeBasedCalculationTechnique": "NONE",
}
MR_DESCRIPTION: Values = {"ComplexImageComponent": "MAGNITUDE", "AcquisitionContrast": "T1"}
ANATOMY: Values = {
    "FrameLaterality": "U",
    "AnatomicRegionSequence": {
        "CodeValue": "69536005",
        "CodingSchemeDesignator": "SCT",
        "CodeMeaning": "Head",
    },
}
CT_SHARED: Values = {
    "IrradiationEventIdentificationSequence": {"IrradiationEventUID": derived_uid("irradiation")},
    "CTAcquisitionTypeSequence": {
        "AcquisitionType": "SEQUENCED",
        "ConstantVolumeFlag": "NO",
        "FluoroscopyFlag": "NO",
    },
    "CTAcquisitionDetailsSequence": {
        "RotationDirection": "CW",
        "RevolutionTime": 1.0,
        "SingleCollimationWidth": 1.0,
        "TotalCollimationWidth": 16.0,
        "TableHeight": "100",
        "GantryDetectorTilt": "0",
        "DataCollectionDiameter": "500",
    },
    "CTTableDynamicsSequence": {},
    "CTPositionSequence": {
        "TablePosition": 0.0,
        "DataCollectionCenterPatient": [0.0, 0.0, 0.0],
        "ReconstructionTargetCenterPatient": [0.0, 0.0, 0.0],
    },
    "CTGeometrySequence": {"DistanceSourceToDetector": "1000", "DistanceSourceToDataCollectionCenter": 500.0},
    "CTReconstructionSequence": {
        "ReconstructionAlgorithm": "FILTER_BACK_PROJ",
        "ConvolutionKernel": "STANDARD",
        "ConvolutionKernelGroup": "SOFT_TISSUE",
        "ReconstructionDiameter": "250",
        "ReconstructionPixelSpacing": [0.75, 0.5],
        "ReconstructionAngle": 360.0,
        "ImageFilter": "NONE",
    },
    "CTExposureSequence": {
        "ExposureTimeInms": 1000.0,
        "XRayTubeCurrentInmA": 100.0,
        "ExposureInmAs": 100.0,
        "ExposureModulationType": "NONE",
        "CTDIvol": 10.0,
    },
    "CTXRayDetailsSequence": {
        "KVP": "120",
        "FocalSpots": [1.0],
        "FilterType": "WEDGE",
        "FilterMaterial": "ALUMINUM",
    },
}
"""An axial scan (C.8.15.3)."""
MR_OBJECT: Values = {
    "ResonantNucleus": "1H",
    "KSpaceFiltering": "NONE",
    "MagneticFieldStrength": "3",
    "ApplicableSafetyStandardAgency": "IEC",
    "PulseSequenceName": "GRE",
    "MRAcquisitionType": "3D",
    "EchoPulseSequence": "GRADIENT",
    "MultiPlanarExcitation": "NO",
    "PhaseContrast": "NO",
    "TimeOfFlightContrast": "NO",
    "SteadyStatePulseSequence": "NONE",
    "EchoPlanarPulseSequence": "NO",
    "SaturationRecovery": "NO",
    "SpectrallySelectedSuppression": "NONE",
    "OversamplingPhase": "NONE",
    "GeometryOfKSpaceTraversal": "RECTILINEAR",
    "RectilinearPhaseEncodeReordering": "LINEAR",
    "SegmentedKSpaceTraversal": "SINGLE",
    "CoverageOfKSpace": "FULL",
    "NumberOfKSpaceTrajectories": 1,
}
"""A gradient echo (C.8.13.1, C.8.13.4)."""
MR_SHARED: Values = {
    "MRTimingAndRelatedParametersSequence": {
        "RepetitionTime": "10",
        "FlipAngle": "8",
        "EchoTrainLength": "1",
        "RFEchoTrainLength": 0,
        "GradientEchoTrainLength": 1,
        "SpecificAbsorptionRateSequence": {
            "SpecificAbsorptionRateDefinition": "IEC_WHOLE_BODY",
            "SpecificAbsorptionRateValue": 0.1,
        },
        "OperatingModeSequence": [
            {"OperatingModeType": "STATIC FIELD", "OperatingMode": "IEC_NORMAL"},
            {"OperatingModeType": "RF", "OperatingMode": "IEC_NORMAL"},
            {"OperatingModeType": "GRADIENT", "OperatingMode": "IEC_NORMAL"},
        ],
        "GradientOutputType": "DB_DT",
        "GradientOutput": 1.0,
    },
    "MRFOVGeometrySequence": {
        "InPlanePhaseEncodingDirection": "ROW",
        "MRAcquisitionFrequencyEncodingSteps": 8,
        "MRAcquisitionPhaseEncodingStepsInPlane": 8,
        "MRAcquisitionPhaseEncodingStepsOutOfPlane": 8,
        "PercentSampling": "100",
        "PercentPhaseFieldOfView": "100",
    },
    "MRModifierSequence": {
        "InversionRecovery": "NO",
        "FlowCompensation": "NONE",
        "Spoiling": "RF",
        "T2Preparation": "NO",
        "SpectrallySelectedExcitation": "NONE",
        "SpatialPresaturation": "NONE",
        "PartialFourier": "NO",
        "ParallelAcquisition": "NO",
    },
    "MRImagingModifierSequence": {
        "MagnetizationTransfer": "NONE",
        "BloodSignalNulling": "NO",
        "Tagging": "NONE",
        "TransmitterFrequency": 123.2,
        "PixelBandwidth": "200",
    },
    "MRReceiveCoilSequence": {
        "ReceiveCoilName": "HEAD",
        "ReceiveCoilManufacturerName": "",
        "ReceiveCoilType": "VOLUME",
        "QuadratureReceiveCoil": "YES",
    },
    "MRTransmitCoilSequence": {
        "TransmitCoilName": "BODY",
        "TransmitCoilManufacturerName": "",
        "TransmitCoilType": "BODY",
    },
    "MRAveragesSequence": {"NumberOfAverages": "1"},
}
"""A gradient echo (C.8.13.5)."""
PET_OBJECT: Values = {
    "AcquisitionStartCondition": "MANU",
    "AcquisitionTerminationCondition": "MANU",
    "TypeOfDetectorMotion": "NONE",
    "TransverseDetectorSeparation": 4.0,
    "AxialDetectorDimension": 4.0,
    "CollimatorType": "NONE",
    "CoincidenceWindowWidth": "5",
    "EnergyWindowRangeSequence": {"EnergyWindowLowerLimit": "425", "EnergyWindowUpperLimit": "650"},
    "TableMotion": "STATIC",
    "TimeOfFlightInformationUsed": "FALSE",
    "ViewCodeSequence": {
        "CodeValue": "62824007",
        "CodingSchemeDesignator": "SCT",
        "CodeMeaning": "Transverse plane",
        "ViewModifierCodeSequence": [],
    },
    "CountsSource": "EMISSION",
    **dict.fromkeys(
        (
            "DecayCorrected",
            "AttenuationCorrected",
            "ScatterCorrected",
            "DeadTimeCorrected",
            "GantryMotionCorrected",
            "PatientMotionCorrected",
            "CountLossNormalizationCorrected",
            "RandomsCorrected",
            "NonUniformRadialSamplingCorrected",
            "SensitivityCalibrated",
            "DetectorNormalizationCorrection",
        ),
        "NO",
    ),
    "RadiopharmaceuticalInformationSequence": {
        "RadiopharmaceuticalAgentNumber": 1,
        "RadionuclideCodeSequence": {
            "CodeValue": "77004003",
            "CodingSchemeDesignator": "SCT",
            "CodeMeaning": "^18^Fluorine",
        },
        "AdministrationRouteCodeSequence": {
            "CodeValue": "47625008",
            "CodingSchemeDesignator": "SCT",
            "CodeMeaning": "Intravenous route",
        },
        "RadiopharmaceuticalVolume": "10",
        "RadionuclideTotalDose": "300000000",
        "RadionuclideHalfLife": "6586",
        "RadionuclidePositronFraction": "0.97",
        "RadiopharmaceuticalStartDateTime": DATE + TIME,
        "RadiopharmaceuticalCodeSequence": {
            "CodeValue": "35321007",
            "CodingSchemeDesignator": "SCT",
            "CodeMeaning": "Fluorodeoxyglucose F^18^",
        },
    },
}
"""An emission scan without corrections (C.8.22)."""
PET_SHARED: Values = {
    "RadiopharmaceuticalUsageSequence": {"RadiopharmaceuticalAgentNumber": 1},
    "PETFrameAcquisitionSequence": {
        "TableHeight": "100",
        "GantryDetectorTilt": "0",
        "GantryDetectorSlew": "0",
        "DataCollectionDiameter": "500",
    },
    "PETDetectorMotionDetailsSequence": {"RotationDirection": "CW", "RevolutionTime": 1.0},
    "PETPositionSequence": {
        "TablePosition": 0.0,
        "DataCollectionCenterPatient": [0.0, 0.0, 0.0],
        "ReconstructionTargetCenterPatient": [0.0, 0.0, 0.0],
    },
    "PETFrameCorrectionFactorsSequence": {
        "PrimaryPromptsCountsAccumulated": "1000000",
        "SliceSensitivityFactor": "1",
        "ScatterFractionFactor": "0",
        "DeadTimeFactor": "1",
    },
    "PETReconstructionSequence": {
        "ReconstructionAlgorithm": "OSEM",
        "ReconstructionTargetCenterPatient": [0.0, 0.0, 0.0],
        "ReconstructionPixelSpacing": [0.75, 0.5],
        "ReconstructionType": "3D",
        "IterativeReconstructionMethod": "YES",
        "NumberOfIterations": 2,
        "NumberOfSubsets": 8,
        "ReconstructionDiameter": "250",
    },
}
"""The same, frame by frame (C.8.22.5)."""
