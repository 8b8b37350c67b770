from __future__ import annotations

import re

import pytest

from tomosurf.deidentify.key import LONGEST_SHIFT, SHORTEST_SHIFT, Key
from tomosurf.errors import ConfigError

SECRET = b"0123456789abcdef"


def test_the_same_key_gives_the_same_names_and_another_key_others():
    one, again, other = Key(SECRET), Key(SECRET), Key(SECRET[::-1])
    assert one.uid("1.2.3") == again.uid("1.2.3") != other.uid("1.2.3")
    assert one.digest("study", "x") == again.digest("study", "x") != one.digest("series", "x")
    assert one.shift("x") == again.shift("x")
    assert Key().uid("1.2.3") != Key().uid("1.2.3")


def test_uids_are_uuids_under_2_25():
    uids = {Key(SECRET).uid(str(n)) for n in range(1000)}
    assert len(uids) == 1000
    for uid in uids:
        assert re.fullmatch(r"2\.25\.[1-9]\d*", uid)
        assert len(uid) <= 44
        bits = int(uid[5:]).to_bytes(16, "big")
        assert (bits[6] >> 4, bits[8] >> 6) == (8, 2)  # version and variant of RFC 9562


def test_shifts_stay_within_their_limits():
    shifts = {Key(SECRET).shift(str(n)) for n in range(5000)}
    assert min(shifts) >= SHORTEST_SHIFT
    assert max(shifts) <= LONGEST_SHIFT
    assert len(shifts) > 1000


def test_a_key_file_has_enough_bytes(tmp_path):
    (tmp_path / "key").write_bytes(SECRET)
    assert Key.of_file(tmp_path / "key").uid("1") == Key(SECRET).uid("1")
    (tmp_path / "short").write_bytes(SECRET[:15])
    for name in ("short", "missing"):
        with pytest.raises(ConfigError):
            Key.of_file(tmp_path / name)
