from __future__ import annotations

from pydicom.datadict import keyword_for_tag, tag_for_keyword

from tomosurf.deidentify.profile import KEPT, action_of, table
from tomosurf.ingest.tags import OF_FRAMES, Sequence

HANDLED = {
    "ContentDate", "ContentTime", "StudyDate", "StudyTime", "SeriesDate", "SeriesTime", "AcquisitionDate",
    "AcquisitionTime", "AcquisitionDateTime", "FrameAcquisitionDateTime", "FrameReferenceDateTime",
    "PatientSex", "PatientAge", "PatientSize", "PatientWeight", "SeriesDescription", "ProtocolName",
    "ContrastBolusAgent", "DeviceSerialNumber",
}  # fmt: skip
"""Attributes that have an action in the table and are dealt with one by one."""


def test_the_table_is_whole_and_its_keywords_are_right():
    assert len(table()) == 655
    assert set(table().values()) == {"X", "Z", "D", "U", "Z/D", "X/Z", "X/D", "X/Z/D", "X/Z/U*"}
    for tag, action in table().items():
        if "X" not in tag:
            assert action_of(int(tag, 16)) == action


def test_known_actions():
    expected = {
        "PatientName": "Z",
        "PatientID": "Z/D",
        "InstitutionName": "X/Z/D",
        "StudyInstanceUID": "U",
        "ImageComments": "X",
        "PixelSpacing": "",
    }
    assert {keyword: action_of(tag_for_keyword(keyword)) for keyword in expected} == expected
    assert (action_of(0x60023000), action_of(0x60FE4000), action_of(0x50040110)) == ("X", "X", "X")


def test_what_is_kept_is_known_and_nothing_that_the_table_removes():
    for keyword in KEPT:
        tag = tag_for_keyword(keyword)
        assert tag is not None, keyword
        assert keyword_for_tag(tag) == keyword
        assert "U" in action_of(tag) or not action_of(tag) or keyword in HANDLED, keyword


def test_all_that_ingest_reads_of_frames_stays():
    """Geometry, values and what parts one volume from another: after de-identification they are the same."""
    read = {tag.name for tag in OF_FRAMES} | {sequence.name for sequence in Sequence}
    assert read <= KEPT
    assert {"ExtendedOffsetTable", "ExtendedOffsetTableLengths"} <= KEPT
