from __future__ import annotations

import pytest
from pydicom import Dataset

from tomosurf.deidentify.identifiers import Identifiers
from tomosurf.deidentify.options import DeidentifyOptions


@pytest.fixture
def identifiers() -> Identifiers:
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.PatientName = "Doe^Jérôme=山田^太郎"
    dataset.PatientID = "7784512"
    dataset.AccessionNumber = "12345"
    dataset.StudyDate = "20230914"
    dataset.StudyTime = "101112"
    dataset.InstitutionName = "UNKNOWN"
    dataset.SeriesDescription = "Axial soft"
    dataset.ConvolutionKernel = "SOFT"
    dataset.StudyDescription = "Soft"
    dataset.StudyInstanceUID = "1.2.3.4.5.6.7"
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    found = Identifiers()
    found.collect(dataset, DeidentifyOptions())
    return found


@pytest.mark.parametrize(
    "text",
    [
        b"DOE",
        b"for doe only",
        "Jérôme".encode(),
        "Jérôme".encode("latin-1"),
        "山田".encode("shift_jis"),
        b"\x1b$B;3ED\x1b(B",
        "xx太郎xx".encode("utf-16-le"),
        b"id 7784512",
        b"on 20230914",
        b"axial SOFT",
    ],
)
def test_an_identifier_is_found_in_whatever_encoding(identifiers, text):
    assert identifiers.in_text(text)


@pytest.mark.parametrize(
    "text", [b"doer", b"17784512", b"0.7784512", b"12345", b"101112", b"unknown", b"soft", b"ORIGINAL", b"CT"]
)
def test_what_is_everywhere_or_part_of_something_else_is_not(identifiers, text):
    assert identifiers.in_text(text) == ""


def test_the_attribute_is_told_not_the_value(identifiers):
    assert identifiers.in_text(b"doe") == "PatientName"
    assert identifiers.in_text(b"20230914") == "StudyDate"


def test_uids_are_found_in_a_header_and_texts_in_the_whole_file(identifiers):
    content = b"....1.2.3.4.5.6.7\0" + b"\0" * 50 + b"Axial soft"
    assert identifiers.uids == {"1.2.3.4.5.6.7"}
    assert identifiers.in_file(b"\0" + content[4:30], 30, uids=True) == "a UID"
    assert identifiers.in_file(b"\0" + content[4:30], 30, uids=False) == ""
    assert identifiers.in_file(content, 4, uids=True) == "SeriesDescription"
