from __future__ import annotations

from tomosurf.data.codes import notice
from tomosurf.data.series import short_digest
from tomosurf.deidentify.mask import Mask


def test_digests_and_names_can_be_confirmed_by_nobody():
    plain = short_digest("1.2.3")
    about = notice("no_dicom", "no DICOM", files=("Doe.txt", "Albert.txt"), series=plain)
    one, two = Mask({"Doe.txt", "Albert.txt"}), Mask({"Doe.txt", "Albert.txt"})
    assert one.notice(about).files == ("input-000001", "input-000002")
    assert one.digest(plain) == one.notice(about).series
    assert len({plain, one.digest(plain), two.digest(plain)}) == 3
    assert one.digest("") == ""
