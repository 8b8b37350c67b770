"""What MR scanners say in private elements alone: b-values, and that many slices are tiled into one image.

The manufacturers' conformance statements name them; a private creator (PS3.5 section 7.8.1) must claim the block.
Only the block that they use is looked at: whoever moves blocks about leaves these values unread, not misread.
"""

from __future__ import annotations

import re
import struct

from tomosurf.ingest.elements import Elements
from tomosurf.ingest.private_tags import PrivateTag
from tomosurf.ingest.values import binaries, text

MOST = 100_000
"""s/mm2 above which no b-value is: GE adds a multiple of it, to say something else by it."""
CSA_NAME = b"NumberOfImagesInMosaic\0"
CSA_COUNT, CSA_LENGTHS, CSA_VALUE = 76, 84, 100
"""Bytes from a name in Siemens' CSA header to the number of its items, the first one's lengths, and its value."""

BLOCKS = {
    PrivateTag.SiemensImagesInMosaic: (PrivateTag.SiemensCreator, b"SIEMENS MR HEADER"),
    PrivateTag.SiemensBValue: (PrivateTag.SiemensCreator, b"SIEMENS MR HEADER"),
    PrivateTag.SiemensCSAImageHeader: (PrivateTag.SiemensCSACreator, b"SIEMENS CSA HEADER"),
    PrivateTag.GEBValue: (PrivateTag.GECreator, b"GEMS_PARM_01"),
    PrivateTag.PhilipsBValue: (PrivateTag.PhilipsCreator, b"Philips Imaging DD 001"),
}
"""For each value the element in which its creator claims the block, and the creator's name."""


def b_value(elements: Elements) -> float | None:
    """The b-value in s/mm2 that a private element gives; None where there is none or it makes no sense."""
    for tag in (PrivateTag.SiemensBValue, PrivateTag.GEBValue):
        found = re.match(
            r" *(\d{1,12})(\.0*)? *(\\|$)", text(elements, tag) if _is_claimed(elements, tag) else ""
        )
        if found:
            return float(int(found[1]) % MOST)
    if _is_claimed(elements, PrivateTag.PhilipsBValue):
        values = binaries(elements, PrivateTag.PhilipsBValue, "f")
        if len(values) == 1 and 0 <= values[0] < MOST:
            return float(values[0])
    return None


def is_mosaic(elements: Elements) -> bool:
    """Whether a private element says that the image is made of several slices, side by side."""
    tag = PrivateTag.SiemensImagesInMosaic
    if _is_claimed(elements, tag) and any(count > 1 for count in binaries(elements, tag, "H")):
        return True
    tag = PrivateTag.SiemensCSAImageHeader
    return _is_claimed(elements, tag) and _images_in_csa(elements.values[tag]) > 1


def _is_claimed(elements: Elements, tag: PrivateTag) -> bool:
    """Whether the element is there, and its block the vendor's."""
    creator, name = BLOCKS[tag]
    return tag in elements.values and elements.values.get(creator, b"").strip(b"\0 ") == name


def _images_in_csa(header: bytes) -> int:
    """NumberOfImagesInMosaic in a CSA header; 0 where it has no value."""
    at = header.find(CSA_NAME)
    if at < 0 or at + CSA_VALUE > len(header):
        return 0
    (count,) = struct.unpack_from("<L", header, at + CSA_COUNT)
    lengths = struct.unpack_from("<2L", header, at + CSA_LENGTHS)
    found = re.match(rb" *(\d{1,6})[ \0]", header[at + CSA_VALUE : at + CSA_VALUE + 16] + b"\0")
    return int(found[1]) if count and any(lengths) and found else 0
