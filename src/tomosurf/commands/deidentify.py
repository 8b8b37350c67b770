"""``tomosurf deidentify``: DICOM slices without their patients."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections import Counter
from pathlib import Path

from tomosurf.console import Console

HELP = "copy DICOM slices without what identifies the patient, and search the copies for it"


def configure(parser: ArgumentParser) -> None:
    """Arguments of ``deidentify``."""
    parser.add_argument("input", type=Path, help="folder (any depth), one file, or a ZIP")
    parser.add_argument("-o", "--output", type=Path, required=True, help="a new or empty folder")
    parser.add_argument("--retain-uids", action="store_true", help="leave UIDs as they are")
    parser.add_argument(
        "--shift-dates",
        action="store_true",
        help="keep dates, moved by the same number of days for a patient",
    )
    parser.add_argument(
        "--clean-descriptors",
        action="store_true",
        help="keep the words of series descriptions that a fixed vocabulary knows",
    )
    parser.add_argument(
        "--retain-patient-characteristics", action="store_true", help="keep sex, age, size and weight"
    )
    parser.add_argument(
        "--allow-burned-in",
        action="store_true",
        help="take files that say that text is burned into their pixels, and warn",
    )
    parser.add_argument(
        "--key-file", type=Path, metavar="FILE", help="16 random bytes or more: the same names in every run"
    )


def execute(arguments: Namespace, console: Console) -> int:
    """Write the copies; exit code 3 when there is none."""
    from tomosurf.deidentify.folder import deidentify
    from tomosurf.deidentify.key import Key
    from tomosurf.deidentify.options import DeidentifyOptions

    options = DeidentifyOptions(
        retain_uids=arguments.retain_uids,
        shift_dates=arguments.shift_dates,
        clean_descriptors=arguments.clean_descriptors,
        retain_patient_characteristics=arguments.retain_patient_characteristics,
        allow_burned_in=arguments.allow_burned_in,
    )
    key = Key.of_file(arguments.key_file) if arguments.key_file else Key()
    with console.progress() as progress:
        result = deidentify(arguments.input, arguments.output, options, key, progress)
    console.emit(
        {
            "files": list(result.files),
            "profile": [{"code": code, "meaning": meaning} for code, meaning in options.codes],
            "refused": [notice.as_dict() for notice in result.refused],
            "skipped": [notice.as_dict() for notice in result.skipped],
            "warnings": [notice.as_dict() for notice in result.warnings],
        }
    )
    folders = Counter(file.rpartition("/")[0] for file in result.files)
    console.table(
        "De-identified", ["series", "files"], [[name, str(n)] for name, n in sorted(folders.items())]
    )
    for kind in ("refused", "skipped", "warnings"):
        for notice in getattr(result, kind):
            about = f" ({notice.attribute})" if notice.attribute else ""
            console.warn(f"{kind}: {notice.code}: {notice.message}{about}, {len(notice.files)} file(s)")
    return 0 if result.files else 3
