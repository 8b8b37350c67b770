from __future__ import annotations

import pytest

from tomosurf.deidentify.vocabulary import WORDS, cleaned


@pytest.mark.parametrize(
    ("description", "left"),
    [
        ("Chest 1.5 mm Lung", "Chest 1.5 mm Lung"),
        ("t1_mprage_sag_DOE", "t1 mprage sag"),
        ("Dr. Smith CT 12345 20230914 head", "CT head"),
        ("山田 Abdomen", "Abdomen"),
        ("Müller", ""),
    ],
)
def test_only_known_words_and_short_numbers_stay(description, left):
    assert cleaned(description) == left


def test_words_are_written_as_they_are_compared():
    assert all(word == word.casefold() for word in WORDS)
