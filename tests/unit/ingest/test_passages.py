from __future__ import annotations

import struct
from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tomosurf.ingest import passages
from tomosurf.ingest.elements import Elements, Encoding, Malformed, NeedsMore, Search, scan
from tomosurf.ingest.passages import LONGEST, MOST, WORTH, Passages

EXPLICIT, IMPLICIT, BIG = Encoding(False, True), Encoding(True, True), Encoding(False, False)
ENCODINGS = [EXPLICIT, IMPLICIT, BIG]
GROUP, PIXELS = 0x0028, 0x7FE00010
WANTED = frozenset(GROUP << 16 | element for element in range(0, 40, 2))
SEQUENCE = 0x00081140


def element(encoding: Encoding, tag: int, value: bytes, vr: bytes = b"LO") -> bytes:
    order = encoding.byte_order
    head = struct.pack(order + "HH", tag >> 16, tag & 0xFFFF)
    if encoding.implicit:
        return head + struct.pack(order + "L", len(value)) + value
    if vr in (b"OW", b"SQ", b"UN"):
        return head + vr + b"\0\0" + struct.pack(order + "L", len(value)) + value
    return head + vr + struct.pack(order + "H", len(value)) + value


def header(encoding: Encoding, values: list[bytes]) -> bytes:
    each = [element(encoding, GROUP << 16 | n, value) for n, value in enumerate(values)]
    return b"".join(each) + element(encoding, PIXELS, b"\1\2", b"OW")


def learning(*sequences: int) -> Search:
    return Search(WANTED, frozenset(sequences), defaultdict(Passages))


def outcome(data: bytes, encoding: Encoding, search: Search, end_of_file: bool = True) -> Elements | str:
    try:
        return scan(data, 0, encoding, search, end_of_file)
    except (Malformed, NeedsMore) as error:
        return repr(error)


COMMON = [b"%04d" % n for n in range(30)]


@given(
    headers=st.lists(
        st.tuples(
            st.dictionaries(st.integers(0, 29), st.sampled_from([b"", b"ab", b"cd", b"longer"]), max_size=3),
            st.sampled_from([None, "cut", "twice", "flipped", "again"]),
            st.integers(0, 400),
        ),
        min_size=3,
        max_size=12,
    ),
    encoding=st.sampled_from(ENCODINGS),
    end_of_file=st.booleans(),
)
def test_what_was_met_before_changes_nothing(
    headers: list[tuple[dict[int, bytes], str | None, int]], encoding: Encoding, end_of_file: bool
) -> None:
    """Headers that differ a little, are cut, damaged, or say things twice: each is read as if it were alone."""
    search, alone = learning(), Search(WANTED)
    for changes, damage, where in headers:
        data = bytearray(header(encoding, [changes.get(n, value) for n, value in enumerate(COMMON)]))
        at = where % len(data)
        if damage == "cut":
            del data[at:]
        elif damage == "flipped":
            data[at] ^= 1 << where % 8
        elif damage == "twice":
            data[-10:-10] = element(encoding, GROUP << 16 | where % 40, b"2nd ")
        elif damage == "again":
            data[:0] = header(encoding, COMMON)[: len(element(encoding, GROUP << 16, b"0000")) * (where % 8)]
        assert outcome(bytes(data), encoding, search, end_of_file) == outcome(
            bytes(data), encoding, alone, end_of_file
        )


def steps(search: Search, data: bytes, monkeypatch: pytest.MonkeyPatch) -> int:
    """Elements that a scan looks at one by one."""
    seen: list[int] = []
    learn = Passages.learn

    def spy(self: Passages, data: bytes, walked: list[passages.Walked], values: dict[int, bytes]) -> None:
        seen.append(len(walked))
        learn(self, data, walked, values)

    with monkeypatch.context() as patched:
        patched.setattr(Passages, "learn", spy)
        scan(data, 0, EXPLICIT, search, True)
    return seen[0]


def test_the_third_header_is_stepped_over(monkeypatch: pytest.MonkeyPatch) -> None:
    search = learning()
    varied = [header(EXPLICIT, [*COMMON[:11], b"%06d" % n, *COMMON[12:]]) for n in range(4)]
    assert [steps(search, data, monkeypatch) for data in varied] == [30, 30, 1, 1]
    other = header(EXPLICIT, [*COMMON[:20], b"anew", *COMMON[21:]])
    assert [steps(search, other, monkeypatch) for _ in range(4)] == [19, 2, 2, 2]
    assert (
        scan(other, 0, EXPLICIT, search, True).values == scan(other, 0, EXPLICIT, Search(WANTED), True).values
    )


def test_encodings_are_kept_apart() -> None:
    """The same bytes, read in three ways: explicit VRs are lengths to whoever expects implicit ones."""
    search = learning()
    data = header(EXPLICIT, COMMON)
    for _ in range(3):
        for encoding in ENCODINGS:
            assert outcome(data, encoding, search) == outcome(data, encoding, Search(WANTED))


def test_wanted_sequences_are_found_every_time() -> None:
    search = learning(SEQUENCE)
    before = b"".join(element(EXPLICIT, 0x00080000 | n, b"same") for n in range(WORTH))
    data = before + element(EXPLICIT, SEQUENCE, b"", b"SQ") + header(EXPLICIT, COMMON)
    for _ in range(4):
        assert scan(data, 0, EXPLICIT, search, True).sequences == {SEQUENCE: (b"", EXPLICIT)}


def test_memory_is_bounded() -> None:
    known = Passages()
    for n in range(3 * MOST):
        data = header(EXPLICIT, [b"%0*d" % (n % 60 + 1, m) for m in range(n // 60, 30)])
        walked = [(at, at + 8, at) for at in range(n % 7, n % 7 + 8 * WORTH, 8)]
        for _ in range(2):
            known.learn(data, walked, {})
        assert 0 < len(known.known) <= MOST
    few = Passages()
    for _ in range(2):
        few.learn(bytes(2 * LONGEST), [(n, n + 8, n) for n in range(LONGEST, LONGEST + 8 * WORTH, 8)], {})
        few.learn(bytes(100), [(n, n + 8, n) for n in range(0, 8 * WORTH - 8, 8)], {})
    assert not few.known
