"""Transfer syntaxes beyond the usual ones: exact, or what an independent decoder gives and told as lossy."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK
from numpy.typing import NDArray
from pydicom import dcmread

from tests import high_throughput
from tests.conformance.ingest_cases.case import (
    INTERCEPT,
    Bad,
    Good,
    Stack,
    bad,
    case,
    good,
    grid,
    noise,
    overwrite,
)
from tomosurf.data import transfer_syntax as ts
from tomosurf.testing import jpeg_lossless, jpeg_lossy
from tomosurf.testing.dicom_writer import put_encapsulated

LARGER = (40, 36, 4)
"""The JPEG 2000 encoder wants 32 rows and columns."""
Encode = Callable[[NDArray[Any]], bytes]
"""Stored values of a slice, (rows, columns), to one compressed image."""


def smooth(bits: int, dtype: Any = np.uint16) -> NDArray[Any]:
    """Waves with a grain of four counts, over the whole range of ``bits``."""
    i, j, k = np.mgrid[: LARGER[0], : LARGER[1], : LARGER[2]]
    values = (np.sin(i / 5) + np.cos(j / 4 + k) + 2) / 4 * ((1 << bits) - 1)
    values = np.clip(np.round(values) + (7 * i + 13 * j) % 5, 0, (1 << bits) - 1)
    return (values - (1 << (bits - 1)) * (np.dtype(dtype).kind == "i")).astype(dtype)


def repacked(folder: Path, stored: NDArray[Any], bits: int, syntax: str, encode: Encode) -> Stack:
    """A plain series whose slices are then compressed; their headers go on saying that nothing was lost."""
    stack = Stack(grid(shape=stored.shape), stored, {"bits_stored": bits}).write(folder)
    for k, file in enumerate(stack.files):
        dataset = dcmread(file)
        rows = np.ascontiguousarray(stored[:, :, k].T)
        if bits == 8:
            dataset.BitsAllocated = 8
            rows = rows.astype(np.uint8)
        put_encapsulated(dataset, [encode(rows)])
        dataset.file_meta.TransferSyntaxUID = ts.JPEG_LS  # one that lets fragments be written
        dataset.save_as(file)
        overwrite(file, 0x00020010, syntax.encode() + b"\0" * (len(syntax) % 2))
    return stack


def jpeg_ls(error: int, bits: int) -> Encode:
    def encode(rows: NDArray[Any]) -> bytes:
        from jpeg_ls import encode_pixel_data

        return bytes(
            encode_pixel_data(
                rows.tobytes(),
                lossy_error=error,
                rows=rows.shape[0],
                columns=rows.shape[1],
                samples_per_pixel=1,
                bits_stored=bits,
                bits_allocated=16,
                pixel_representation=0,
                photometric_interpretation="MONOCHROME2",
            )
        )

    return encode


def jpeg_2000(bits: int, **loss: Any) -> Encode:
    def encode(rows: NDArray[Any]) -> bytes:
        from openjpeg.utils import encode_array

        return bytes(encode_array(rows, bits_stored=bits, photometric_interpretation=2, **loss))

    return encode


def _cosines(name: str, syntax: str, bits: int, quantum: int) -> None:
    """Within one count of the inverse transform, rounded: decoders compute it in integers, each in its own way."""

    def function(folder: Path) -> Good:
        stored = smooth(bits)
        stack = repacked(folder, stored, bits, syntax, lambda rows: jpeg_lossy.encode(rows, bits, quantum))
        exact = np.stack(
            [jpeg_lossy.decoded(s.T, bits, quantum).T for s in np.moveaxis(stored, 2, 0)], axis=-1
        )
        assert np.abs(exact - stored).max() > 1
        return Good(
            (replace(stack.truth("lossy_compression", values=np.round(exact) + INTERCEPT), within=1.0),)
        )

    function.__name__ = name
    case(function)


def deflated(rows: NDArray[Any]) -> bytes:
    engine = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    return engine.compress(rows.tobytes()) + engine.flush()


def _exact(name: str, syntax: str, encode: Encode, dtype: Any = np.uint16) -> None:
    """The same values as the uncompressed twin, and nothing in the ledger."""

    def function(folder: Path) -> Good:
        low = -2048 if np.dtype(dtype).kind == "i" else 0
        stored = noise(LARGER, low, low + 4096, dtype)
        return good(repacked(folder, stored, 12, syntax, encode))

    function.__name__ = name
    case(function)


def _lossy(name: str, syntax: str, encode: Encode, bits: int, off: int, dtype: Any = np.uint16) -> None:
    """What SimpleITK's decoders (GDCM's) give, at most ``off`` from what was encoded, and told."""

    def function(folder: Path) -> Good:
        stored = smooth(bits, dtype)
        stack = repacked(folder, stored, bits, syntax, encode)
        images = [SimpleITK.ReadImage(str(file)) for file in stack.files]
        values = np.stack([SimpleITK.GetArrayFromImage(image)[0].T for image in images], axis=-1)
        assert 0 < np.abs(values - INTERCEPT - stored).max() <= off
        return Good((stack.truth("lossy_compression", values=values),))

    function.__name__ = name
    case(function)


def process_14(selection: int) -> Encode:
    return lambda rows: jpeg_lossless.encode(rows.view(np.uint16) & 0x0FFF, 12, selection)


for _selection in range(1, 8):
    _exact(f"jpeg_lossless_by_predictor_{_selection}", ts.JPEG_LOSSLESS, process_14(_selection))
_exact("jpeg_lossless_any_predictor_signed", ts.JPEG_LOSSLESS, process_14(7), np.int16)
_exact("jpeg_ls_near_lossless_without_an_error", ts.JPEG_LS_NEAR, jpeg_ls(0, 12))
_exact("jpeg_2000_reversible", ts.JPEG_2000, jpeg_2000(12))
_exact("jpeg_2000_reversible_signed", ts.JPEG_2000, jpeg_2000(12), np.int16)
_exact("plain_values_in_fragments", ts.ENCAPSULATED_PLAIN, lambda rows: rows.tobytes())
_exact("plain_values_in_fragments_signed", ts.ENCAPSULATED_PLAIN, lambda rows: rows.tobytes(), np.int16)
_exact("frames_deflated_one_by_one", ts.DEFLATED_FRAMES, deflated)
_exact("frames_deflated_one_by_one_signed", ts.DEFLATED_FRAMES, deflated, np.int16)
_cosines("jpeg_baseline_8_bits", ts.JPEG_BASELINE, 8, 9)
_cosines("jpeg_extended_12_bits", ts.JPEG_EXTENDED, 12, 20)
_cosines("jpeg_extended_8_bits", ts.JPEG_EXTENDED, 8, 9)
_lossy("jpeg_ls_near_lossless", ts.JPEG_LS_NEAR, jpeg_ls(3, 12), 12, 3)
_lossy("jpeg_2000_irreversible", ts.JPEG_2000, jpeg_2000(12, signal_noise_ratios=[60]), 12, 40)
_lossy(
    "jpeg_2000_irreversible_signed", ts.JPEG_2000, jpeg_2000(12, signal_noise_ratios=[60]), 12, 40, np.int16
)
_lossy("a_loss_under_the_name_of_lossless_jpeg_ls", ts.JPEG_LS, jpeg_ls(3, 12), 12, 3)
_lossy(
    "a_loss_under_the_name_of_lossless_jpeg_2000",
    ts.JPEG_2000_LOSSLESS,
    jpeg_2000(12, signal_noise_ratios=[60]),
    12,
    40,
)


def _high_throughput(name: str, syntax: str) -> None:
    def function(folder: Path) -> Good:
        rows = high_throughput.samples().astype(np.int16) - 2048
        stored = np.repeat(rows.T[:, :, None], 3, axis=2)
        return good(repacked(folder, stored, 12, syntax, lambda _: high_throughput.REVERSIBLE))

    function.__name__ = name
    case(function)


_high_throughput("high_throughput_jpeg_2000_lossless", ts.HTJ2K_LOSSLESS)
_high_throughput("high_throughput_jpeg_2000_lossless_by_resolution", ts.HTJ2K_LOSSLESS_RPCL)
_high_throughput("high_throughput_jpeg_2000_reversible", ts.HTJ2K)


@case
def high_throughput_jpeg_2000_irreversible(folder: Path) -> Good:
    """The wavelet of floating point rounds as the decoder likes: OpenJPH is one count off what went in, too."""
    stored = np.repeat(high_throughput.samples().T[:, :, None], 3, axis=2)
    stack = repacked(folder, stored, 12, ts.HTJ2K, lambda _: high_throughput.IRREVERSIBLE)
    return Good((replace(stack.truth("lossy_compression"), within=2.0),))


def _not_read(name: str, syntax: str) -> None:
    def function(folder: Path) -> Bad:
        stack = repacked(folder, noise(LARGER), 12, syntax, lambda rows: rows.tobytes())
        return bad("unsupported_transfer_syntax", "TransferSyntaxUID", *stack.files)

    function.__name__ = name
    case(function)


_not_read("jpeg_xl", "1.2.840.10008.1.2.4.110")
_not_read("high_efficiency_video", "1.2.840.10008.1.2.4.107")
_not_read("active_video", "1.2.840.10008.1.2.7.1")
_not_read("jpeg_2000_in_several_components", "1.2.840.10008.1.2.4.92")


def _spoilt_frame(name: str, syntax: str, code: str, encode: Encode) -> None:
    """All frames are of another length than the header says, or have no end."""

    def function(folder: Path) -> Bad:
        repacked(folder, noise(LARGER), 12, syntax, encode)
        return bad(code, "PixelData")

    function.__name__ = name
    case(function)


_spoilt_frame("a_fragment_too_short", ts.ENCAPSULATED_PLAIN, "size_mismatch", lambda r: r.tobytes()[:-2])
_spoilt_frame("a_fragment_too_long", ts.ENCAPSULATED_PLAIN, "size_mismatch", lambda r: r.tobytes() + b"\0\0")
_spoilt_frame("a_deflated_frame_too_short", ts.DEFLATED_FRAMES, "size_mismatch", lambda r: deflated(r[1:]))
_spoilt_frame(
    "a_deflated_frame_too_long", ts.DEFLATED_FRAMES, "size_mismatch", lambda r: deflated(np.vstack([r, r]))
)
_spoilt_frame("a_deflated_frame_cut", ts.DEFLATED_FRAMES, "truncated", lambda r: deflated(r)[:-40])
