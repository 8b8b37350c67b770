"""What the user may choose, and how the output says what was chosen (PS3.16 CID 7050)."""

from __future__ import annotations

from dataclasses import dataclass

METHOD = "tomosurf: PS3.15 E.1 and removal of all not listed"
"""De-identification Method: at most 64 characters."""


@dataclass(frozen=True, slots=True)
class DeidentifyOptions:
    """Options of the basic profile (PS3.15 E.3), all off by default.

    Args:
        retain_uids: UIDs stay as they are.
        shift_dates: dates are kept, moved into the past by a number of days that is the same for all of a patient.
        clean_descriptors: of series description and protocol name, words of a fixed vocabulary stay.
        retain_patient_characteristics: sex, age, size and weight stay.
        allow_burned_in: objects that say that text is burned into their pixels are taken, and warned of.
    """

    retain_uids: bool = False
    shift_dates: bool = False
    clean_descriptors: bool = False
    retain_patient_characteristics: bool = False
    allow_burned_in: bool = False

    @property
    def codes(self) -> tuple[tuple[str, str], ...]:
        """Code value and meaning, scheme DCM, of the profile and each option that was used."""
        chosen = (
            (True, "113100", "Basic Application Confidentiality Profile"),
            (self.clean_descriptors, "113105", "Clean Descriptors Option"),
            (
                self.shift_dates,
                "113107",
                "Retain Longitudinal Temporal Information Modified Dates Option",
            ),
            (self.retain_patient_characteristics, "113108", "Retain Patient Characteristics Option"),
            (self.retain_uids, "113110", "Retain UIDs Option"),
        )
        return tuple((code, meaning) for wanted, code, meaning in chosen if wanted)
