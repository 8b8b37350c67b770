"""Foreign names of structures as ours: a file name, a code and a colour for each.

Codes are SNOMED CT's body structures where the name is known for certain, with their preferred meaning; any
other name is its own code in the private scheme ``PRIVATE``, so that nothing is claimed that nobody said.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from types import MappingProxyType

from tomosurf.config import CodeSpec, SegmentSpec

PRIVATE = "99TOMOSURF"

_CODES = MappingProxyType(
    {
        "adrenal gland": ("23451007", "Adrenal structure"),
        "aorta": ("15825003", "Aortic structure"),
        "bladder": ("89837001", "Urinary bladder structure"),
        "bone": ("272673000", "Bone structure"),
        "brain": ("12738006", "Brain structure"),
        "colon": ("71854001", "Colon structure"),
        "duodenum": ("38848004", "Duodenal structure"),
        "esophagus": ("32849002", "Esophageal structure"),
        "femur": ("71341001", "Bone structure of femur"),
        "gallbladder": ("28231008", "Gallbladder structure"),
        "heart": ("80891009", "Heart structure"),
        "hippocampus": ("5366008", "Hippocampal structure"),
        "inferior vena cava": ("64131007", "Inferior vena cava structure"),
        "kidney": ("64033007", "Kidney structure"),
        "kidneys": ("64033007", "Kidney structure"),
        "left kidney": ("18639004", "Left kidney structure"),
        "right kidney": ("9846003", "Right kidney structure"),
        "left atrium": ("82471001", "Left atrial structure"),
        "right atrium": ("73829009", "Right atrial structure"),
        "left ventricle": ("87878005", "Left cardiac ventricular structure"),
        "right ventricle": ("53085002", "Right cardiac ventricular structure"),
        "liver": ("10200004", "Liver structure"),
        "lung": ("39607008", "Lung structure"),
        "left lung": ("44029006", "Left lung structure"),
        "right lung": ("3341006", "Right lung structure"),
        "lungs": ("74101002", "Both lungs"),
        "oesophagus": ("32849002", "Esophageal structure"),
        "pancreas": ("15776009", "Pancreatic structure"),
        "portal vein": ("32764006", "Portal vein structure"),
        "prostate": ("41216001", "Prostatic structure"),
        "rectum": ("34402009", "Rectum structure"),
        "sacrum": ("54735007", "Bone structure of sacrum"),
        "skin": ("39937001", "Skin structure"),
        "small bowel": ("30315005", "Small intestinal structure"),
        "small intestine": ("30315005", "Small intestinal structure"),
        "spinal cord": ("2748008", "Spinal cord structure"),
        "spleen": ("78961009", "Splenic structure"),
        "stomach": ("69695003", "Stomach structure"),
        "thymus": ("9875009", "Thymus gland structure"),
        "thyroid": ("69748006", "Thyroid structure"),
        "thyroid gland": ("69748006", "Thyroid structure"),
        "trachea": ("44567001", "Tracheal structure"),
        "urinary bladder": ("89837001", "Urinary bladder structure"),
        "uterus": ("35039007", "Uterine structure"),
    }
)
_BY_WORDS = MappingProxyType({frozenset(name.split()): code for name, code in _CODES.items()})

_PALETTE = (
    *((221, 130, 101), (157, 108, 162), (185, 102, 83), (216, 132, 105), (139, 150, 98), (249, 180, 111)),
    *((224, 97, 76), (111, 184, 210), (244, 214, 49), (128, 174, 128), (197, 165, 145), (216, 101, 79)),
    *((70, 130, 196), (236, 153, 75), (101, 156, 118), (190, 122, 166), (145, 188, 222), (205, 179, 108)),
    *((78, 148, 148), (212, 150, 150), (120, 124, 190), (168, 196, 96), (178, 134, 80), (230, 190, 200)),
)


def slug(text: str) -> str:
    """A name for files and tables: small letters, digits, "_" and "-"; "" when nothing remains."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9-]+", "_", plain).strip("_-")[:64].strip("_-")


def code_of(name: str) -> CodeSpec:
    """The code of a structure by its name, in whatever order its words come."""
    words = frozenset(re.findall("[a-z]+", slug(name))) if not re.search("[0-9]", name) else frozenset()
    found = _BY_WORDS.get(words)
    if found is None:
        return CodeSpec(value=slug(name), meaning=" ".join(name.split())[:64], scheme=PRIVATE)
    return CodeSpec(value=found[0], meaning=found[1])


def named_segments(names: Iterable[tuple[int, str]]) -> tuple[SegmentSpec, ...]:
    """Segments for labels and their foreign names; two names that would be one get numbers."""
    segments: list[SegmentSpec] = []
    taken: set[str] = set()
    for label, name in names:
        known = bool(slug(name))
        own = slug(name) if known else f"structure_{label}"
        while own in taken:
            own = f"{own[:56]}_{label}"
        taken.add(own)
        segments.append(
            SegmentSpec(
                label=label,
                name=own,
                code=code_of(name if known else own),
                colour=_PALETTE[(label - 1) % len(_PALETTE)],
            )
        )
    return tuple(segments)
