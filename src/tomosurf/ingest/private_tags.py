"""The private elements that ingest looks at, each in the block that its vendor uses (PS3.5 section 7.8)."""

from __future__ import annotations

from enum import IntEnum


class PrivateTag(IntEnum):
    """Private elements, and the creators of their blocks."""

    SiemensCreator = 0x00190010
    SiemensImagesInMosaic = 0x0019100A
    SiemensBValue = 0x0019100C
    SiemensCSACreator = 0x00290010
    SiemensCSAImageHeader = 0x00291010
    GECreator = 0x00430010
    GEBValue = 0x00431039
    PhilipsCreator = 0x20010010
    PhilipsBValue = 0x20011003
