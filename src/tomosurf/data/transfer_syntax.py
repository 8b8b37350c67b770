"""The transfer syntaxes that tomosurf reads, and the names of all others (PS3.5 Annex A, PS3.6 Annex A)."""

from __future__ import annotations

from types import MappingProxyType

IMPLICIT_LITTLE = "1.2.840.10008.1.2"
EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
ENCAPSULATED_PLAIN = "1.2.840.10008.1.2.1.98"
DEFLATED = "1.2.840.10008.1.2.1.99"
EXPLICIT_BIG = "1.2.840.10008.1.2.2"
RLE = "1.2.840.10008.1.2.5"
JPEG_BASELINE = "1.2.840.10008.1.2.4.50"
JPEG_EXTENDED = "1.2.840.10008.1.2.4.51"
JPEG_LOSSLESS = "1.2.840.10008.1.2.4.57"
JPEG_LOSSLESS_SV1 = "1.2.840.10008.1.2.4.70"
JPEG_LS = "1.2.840.10008.1.2.4.80"
JPEG_LS_NEAR = "1.2.840.10008.1.2.4.81"
JPEG_2000_LOSSLESS = "1.2.840.10008.1.2.4.90"
JPEG_2000 = "1.2.840.10008.1.2.4.91"
HTJ2K_LOSSLESS = "1.2.840.10008.1.2.4.201"
HTJ2K_LOSSLESS_RPCL = "1.2.840.10008.1.2.4.202"
HTJ2K = "1.2.840.10008.1.2.4.203"
DEFLATED_FRAMES = "1.2.840.10008.1.2.8.1"

NATIVE = frozenset({IMPLICIT_LITTLE, EXPLICIT_LITTLE, DEFLATED, EXPLICIT_BIG})
"""Stored values as they are."""

JPEG = frozenset({JPEG_BASELINE, JPEG_EXTENDED, JPEG_LOSSLESS, JPEG_LOSSLESS_SV1})
JPEG_LS_FAMILY = frozenset({JPEG_LS, JPEG_LS_NEAR})
JPEG_2000_FAMILY = frozenset({JPEG_2000_LOSSLESS, JPEG_2000, HTJ2K_LOSSLESS, HTJ2K_LOSSLESS_RPCL, HTJ2K})

IN_CHILDREN = JPEG | JPEG_LS_FAMILY | JPEG_2000_FAMILY
"""Compressed images whose decoder is native code of others."""

ENCAPSULATED = IN_CHILDREN | {RLE, ENCAPSULATED_PLAIN, DEFLATED_FRAMES}
"""In fragments (PS3.5 section A.4)."""

LOSSY = frozenset({JPEG_BASELINE, JPEG_EXTENDED})
"""Always lossy; of others Lossy Image Compression (0028,2110) says so, or the compressed image itself."""

SUPPORTED = NATIVE | ENCAPSULATED

_P = "1.2.840.10008.1.2."
DEFLATED_REFERENCES = frozenset({_P + "4.95", _P + "4.205"})
"""Not read, but the whole data set is deflated, so that nothing else of it can be understood."""

NOT_READ = MappingProxyType(
    {
        _P + "4.52": "JPEG Extended (Process 3 and 5)",
        _P + "4.53": "JPEG Spectral Selection, Non-Hierarchical (Process 6 and 8)",
        _P + "4.54": "JPEG Spectral Selection, Non-Hierarchical (Process 7 and 9)",
        _P + "4.55": "JPEG Full Progression, Non-Hierarchical (Process 10 and 12)",
        _P + "4.56": "JPEG Full Progression, Non-Hierarchical (Process 11 and 13)",
        _P + "4.58": "JPEG Lossless, Non-Hierarchical (Process 15)",
        _P + "4.59": "JPEG Extended, Hierarchical (Process 16 and 18)",
        _P + "4.60": "JPEG Extended, Hierarchical (Process 17 and 19)",
        _P + "4.61": "JPEG Spectral Selection, Hierarchical (Process 20 and 22)",
        _P + "4.62": "JPEG Spectral Selection, Hierarchical (Process 21 and 23)",
        _P + "4.63": "JPEG Full Progression, Hierarchical (Process 24 and 26)",
        _P + "4.64": "JPEG Full Progression, Hierarchical (Process 25 and 27)",
        _P + "4.65": "JPEG Lossless, Hierarchical (Process 28)",
        _P + "4.66": "JPEG Lossless, Hierarchical (Process 29)",
        _P + "4.92": "JPEG 2000 Part 2 Multi-component Image Compression (Lossless Only)",
        _P + "4.93": "JPEG 2000 Part 2 Multi-component Image Compression",
        _P + "4.94": "JPIP Referenced",
        _P + "4.95": "JPIP Referenced Deflate",
        _P + "4.100": "MPEG2 Main Profile / Main Level",
        _P + "4.100.1": "Fragmentable MPEG2 Main Profile / Main Level",
        _P + "4.101": "MPEG2 Main Profile / High Level",
        _P + "4.101.1": "Fragmentable MPEG2 Main Profile / High Level",
        _P + "4.102": "MPEG-4 AVC/H.264 High Profile / Level 4.1",
        _P + "4.102.1": "Fragmentable MPEG-4 AVC/H.264 High Profile / Level 4.1",
        _P + "4.103": "MPEG-4 AVC/H.264 BD-compatible High Profile / Level 4.1",
        _P + "4.103.1": "Fragmentable MPEG-4 AVC/H.264 BD-compatible High Profile / Level 4.1",
        _P + "4.104": "MPEG-4 AVC/H.264 High Profile / Level 4.2 For 2D Video",
        _P + "4.104.1": "Fragmentable MPEG-4 AVC/H.264 High Profile / Level 4.2 For 2D Video",
        _P + "4.105": "MPEG-4 AVC/H.264 High Profile / Level 4.2 For 3D Video",
        _P + "4.105.1": "Fragmentable MPEG-4 AVC/H.264 High Profile / Level 4.2 For 3D Video",
        _P + "4.106": "MPEG-4 AVC/H.264 Stereo High Profile / Level 4.2",
        _P + "4.106.1": "Fragmentable MPEG-4 AVC/H.264 Stereo High Profile / Level 4.2",
        _P + "4.107": "HEVC/H.265 Main Profile / Level 5.1",
        _P + "4.108": "HEVC/H.265 Main 10 Profile / Level 5.1",
        _P + "4.110": "JPEG XL Lossless",
        _P + "4.111": "JPEG XL JPEG Recompression",
        _P + "4.112": "JPEG XL",
        _P + "4.204": "JPIP HTJ2K Referenced",
        _P + "4.205": "JPIP HTJ2K Referenced Deflate",
        _P + "6.1": "RFC 2557 MIME encapsulation",
        _P + "6.2": "XML Encoding",
        _P + "7.1": "SMPTE ST 2110-20 Uncompressed Progressive Active Video",
        _P + "7.2": "SMPTE ST 2110-20 Uncompressed Interlaced Active Video",
        _P + "7.3": "SMPTE ST 2110-30 PCM Digital Audio",
        "1.2.840.10008.1.20": "Papyrus 3 Implicit VR Little Endian",
    }
)
"""Registered transfer syntaxes that aren't read, by their names in PS3.6."""
