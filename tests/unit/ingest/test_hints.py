"""What a series says about its purpose reaches the choice, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.ingest.conftest import Write
from tomosurf.data.series import SeriesHints
from tomosurf.ingest.read import read


def hints_of(write: Write, **attributes: Any) -> SeriesHints:
    folder = write(attributes=attributes)[0].parent
    ((series,),) = (study.series for study in read(folder).studies)
    return series.hints


def test_a_silent_header(write: Write) -> None:
    assert hints_of(write) == SeriesHints()


def test_what_all_slices_say(write: Write) -> None:
    found = hints_of(
        write,
        BodyPartExamined="CHEST",
        SeriesDescription="Thorax venous",
        ProtocolName="Routine",
        ContrastBolusAgent="Iomeprol",
        ImageType=["DERIVED", "PRIMARY", "AXIAL"],
    )
    assert found == SeriesHints("CHEST", "Thorax venous", "Routine", contrast=True, derived=True)


def test_what_slices_disagree_on_is_not_said(write: Write) -> None:
    found = hints_of(
        write,
        SeriesDescription=lambda k: f"slice {k}",
        ContrastBolusAgent=lambda k: "Iomeprol" if k == 1 else "",
    )
    assert found == SeriesHints(contrast=True)


@pytest.mark.parametrize("agent", ["", "NONE", "no", "W/O"])
def test_no_agent_is_no_contrast(write: Write, agent: str) -> None:
    assert hints_of(write, ContrastBolusAgent=agent).contrast is False


@pytest.mark.parametrize("character_set", ["ISO_IR 100", "ISO_IR 192"])
def test_umlauts_are_read(write: Write, character_set: str) -> None:
    found = hints_of(write, SpecificCharacterSet=character_set, SeriesDescription="Schädel")
    assert found.description == "Schädel"


@pytest.mark.filterwarnings("ignore:The value length")
def test_a_text_is_cut_at_the_standards_length(write: Write) -> None:
    assert hints_of(write, SeriesDescription="a" * 1000).description == "a" * 64
