"""A CT series with identifiers of an invented patient in every place that was thought of."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydicom import Dataset, dcmread
from pydicom.sequence import Sequence

from tomosurf.data.geometry import Geometry
from tomosurf.testing.dicom_writer import SeriesOptions, derived_uid, write_series
from tomosurf.testing.phantoms import Ball, rasterise

NAMES = {
    "ISO 2022 IR 87": "Yamada^Tarou=山田^太郎=やまだ^たろう",
    "ISO 2022 IR 149": "Namgung^Gildong=南宮^吉洞=남궁^길동",
    "ISO_IR 192": "Wąż^Grzegorz=王小^東方",
    "ISO_IR 100": "Bucquoy^Jérôme",
}
CODECS = ("utf-8", "latin-1", "iso2022_jp", "iso2022_kr", "euc_kr", "utf-16-le", "utf-16-be")
SECRETS = (
    "PZ-7784512",
    "ACC9938171",
    "Klinik Sankt Gerbert",
    "Lindwurmgasse 12",
    "Quastenflosser",
    "Klabautermann",
    "KLABAUTERMANN",
    "19580317",
    "20230914",
    "SECRETPRIVATE77",
    "deeply hidden",
    "overlay of the patient",
    "came by ambulance",
    "GERBERT-CT-3",
    "SER-55512",
)


@dataclass(frozen=True)
class Planted:
    """The input folder, and what must not be found anywhere."""

    folder: Path
    secrets: dict[bytes, str]
    uids: frozenset[str]

    def leaks(self, where: Path, *more: str) -> set[str]:
        """Secrets in the content and names of the files below ``where``, and in some more texts."""
        places = [content for path in where.rglob("*") if path.is_file() for content in contents(path)]
        places += [str(path.relative_to(where)).encode() for path in where.rglob("*")]
        places += [text.encode() for text in more]
        found = {name for place in places for secret, name in self.secrets.items() if secret in place}
        return found | {f"UID {uid}" for place in places for uid in self.uids if uid.encode() in place}


def contents(path: Path) -> Iterator[bytes]:
    """The bytes of a file as they are, and unpacked."""
    data = path.read_bytes()
    yield data
    if data[:2] == b"\x1f\x8b":
        yield gzip.decompress(data)


def plant(folder: Path) -> Planted:
    """A bony ball as a CT series (48 slices) of the first name, and three slices of every other one."""
    affine = np.diag([2.0, 2.0, 2.5, 1.0])
    geometry = Geometry((64, 60, 48), affine, derived_uid("planted frame"))
    values = np.full(geometry.shape, -1000.0)
    for radius, intensity in ((50.0, 40.0), (30.0, 700.0)):
        fraction = rasterise(Ball((63.0, 59.0, 59.0), radius), geometry)
        values = values * (1 - fraction) + intensity * fraction
    stored = np.rint(values + 1024).astype(np.int16)
    for number, (charset, name) in enumerate(NAMES.items()):
        count = 48 if number == 0 else 3
        options = SeriesOptions(study=f"planted {number}", file_name="Klabautermann_{number:04d}.dcm")
        shape = Geometry((64, 60, count), affine, geometry.frame_of_reference_uid)
        for file in write_series(
            folder / f"Quastenflosser {number}", stored[..., :count].copy(), shape, options
        ):
            dataset = dcmread(file)
            disclose(dataset, charset, name)
            dataset.preamble = b"Klabautermann".ljust(128, b"\0")
            dataset.save_as(file)
    (folder / "Klabautermann.txt").write_text("no slice")
    words = {part for name in NAMES.values() for part in name.replace("=", "^").split("^")}
    secrets = {
        text.encode(codec): text for text in (*SECRETS, *words) for codec in CODECS if encodable(text, codec)
    }
    uids = {str(e.value) for path in folder.rglob("*.dcm") for e in dcmread(path) if "UID" in e.keyword}
    return Planted(folder, secrets, frozenset(uid for uid in uids if uid.startswith("2.25.")))


def encodable(text: str, codec: str) -> bool:
    try:
        return len(text.encode(codec)) >= 4
    except UnicodeEncodeError:
        return False


def disclose(dataset: Dataset, charset: str, name: str) -> None:
    """Put identifiers where they belong, and where they don't."""
    dataset.SpecificCharacterSet = ["", charset] if charset.startswith("ISO 2022") else charset
    for keyword, value in {
        "PatientName": name,
        "PatientID": "PZ-7784512",
        "OtherPatientIDs": ["PZ-7784512", "SER-55512"],
        "PatientBirthDate": "19580317",
        "PatientAge": "065Y",
        "PatientWeight": "71.5",
        "PatientSex": "F",
        "StudyDate": "20230914",
        "SeriesDate": "20230914",
        "AcquisitionDate": "20230914",
        "AcquisitionDateTime": "20230914101112.5",
        "ContentDate": "20230914",
        "AccessionNumber": "ACC9938171",
        "InstitutionName": "Klinik Sankt Gerbert",
        "InstitutionAddress": "Lindwurmgasse 12",
        "StationName": "GERBERT-CT-3",
        "DeviceSerialNumber": "SER-55512",
        "ReferringPhysicianName": "Quastenflosser^Otto",
        "OperatorsName": "Klabautermann",
        "StudyDescription": f"{name.split('^', maxsplit=1)[0]} came by ambulance",
        "SeriesDescription": "Chest 1.5 Klabautermann 20230914",
        "ImageComments": "came by ambulance",
        "ConvolutionKernel": "Klabautermann",
        "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL", "KLABAUTERMANN"],
    }.items():
        setattr(dataset, keyword, value)
    code = item(CodeValue="1", CodingSchemeDesignator="SCT", CodeMeaning="Klabautermann")
    dataset.AnatomicRegionSequence = Sequence([code])
    inner = item(PatientName=name, ScheduledProcedureStepDescription="deeply hidden")
    dataset.RequestAttributesSequence = Sequence([item(AccessionNumber="ACC9938171")])
    dataset.SourceImageSequence = Sequence(
        [
            item(
                ReferencedSOPClassUID=dataset.SOPClassUID,
                ReferencedSOPInstanceUID=dataset.SOPInstanceUID,
                PurposeOfReferenceCodeSequence=Sequence([inner]),
            )
        ]
    )
    block = dataset.private_block(0x0029, "GERBERT-CT-3", create=True)
    block.add_new(0x01, "LO", "SECRETPRIVATE77")
    block.add_new(0x02, "OB", b"SECRETPRIVATE77\0")
    block.add_new(0x03, "SQ", Sequence([inner]))
    dataset.add_new(0x60003000, "OW", b"overlay of the patient".ljust(64 * 60 // 8, b"\0"))
    dataset.add_new(0x60004000, "LT", "overlay of the patient")
    dataset.add_new(0x50003000, "OW", b"SECRETPRIVATE77\0")
    dataset.add_new(0xFFFCFFFC, "OB", b"SECRETPRIVATE77\0")


def item(**values: Any) -> Dataset:
    """A sequence's item."""
    made = Dataset()
    for keyword, value in values.items():
        setattr(made, keyword, value)
    return made
