"""The words that may stay in a description: they tell what was scanned and how, and name nobody."""

from __future__ import annotations

import re

_WORDS = """
    abdomen abdominal abd acetabulum adc ankle angio aorta aortic arm arterial art axial ax ax3d b b0 bilateral
    bone brain breath bravo bolus cardiac carotid cervical chest clavicle cine contrast contrasted coronal cor cow
    cranium cspine ct cta delayed delay diffusion dixon dti dwi early ecg echo elbow enhanced epi extremity
    face facial fat fatsat fast femoral femur fiesta fs fse flair flash foot forearm gated gd gre gradient hand
    head heart hepatic hip hold humerus inspiration expiration ip ir kidney kidneys knee late left leg lt liver
    localizer lower lspine lumbar lung lungs mandible maxilla mdct mediastinum medium mip mpr mprage mr mra mri
    mrcp native neck non nonenhanced nc noncontrast oblique op opposed orbit orbits out pancreas parotid patella
    pd pdw pelvis pelvic pet phase phases plain portal post pre precontrast postcontrast prone pulmonary quiet
    recon reconstruction renal rib ribs right rt sag sagittal sacrum scan scapula scout se series sense sequence
    sharp shoulder short sinus sinuses skull slice smooth soft space spair spgr spine spin spiral spleen standard
    stir supine swi t t1 t1w t2 t2w t2star tof temporal tfe thick thin thoracic thorax throat thyroid tibia
    tissue tof topogram torso trauma tse tspine turbo unenhanced upper vein veins venous vibe view volume wrist
    with without w wo body whole wb 2d 3d mm cm hu ms sec s kv mas and of the in to from
"""
WORDS = frozenset(_WORDS.split())
"""Written in lower case."""
NUMBER = re.compile(r"\d{1,2}([.,]\d{1,2})?(mm|cm|s|ms)?", re.ASCII)
"""A thickness, a time or a phase; longer numbers may be dates or identifiers."""
PARTS = re.compile(r"[^\W_]+(?:[.,]\d+\w*)?")


def cleaned(description: str) -> str:
    """The words of ``description`` that are in the vocabulary, and short numbers, parted by a space.

    >>> cleaned("DOE CT_Chest 1.5mm Dr. Who 19700101")
    'CT Chest 1.5mm'
    """
    words = (word for word in PARTS.findall(description))
    return " ".join(word for word in words if word.casefold() in WORDS or NUMBER.fullmatch(word))
