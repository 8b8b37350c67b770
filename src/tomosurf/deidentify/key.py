"""Names that stand for others and that nobody without the key can trace back or confirm."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import uuid
from pathlib import Path

from tomosurf.data.series import DIGEST_LENGTH
from tomosurf.errors import ConfigError

KEY_BYTES = 32
LEAST_KEY_BYTES = 16
SHORTEST_SHIFT, LONGEST_SHIFT = 61, 3650
"""Days that dates are moved into the past; at least so many that none lands on another of the same examination."""


class Key:
    """A secret that digests are keyed with (HMAC-SHA-256, RFC 2104); it is never written anywhere.

    Without ``secret`` a random one is drawn: no two runs give the same names.
    """

    __slots__ = ("_secret",)

    def __init__(self, secret: bytes | None = None) -> None:
        self._secret = secret or secrets.token_bytes(KEY_BYTES)

    @classmethod
    def of_file(cls, path: Path) -> Key:
        """The content of a file, so that several runs give the same names.

        Raises:
            ConfigError: no such file, or fewer than ``LEAST_KEY_BYTES`` bytes in it.
        """
        try:
            secret = path.read_bytes()
        except OSError as error:
            raise ConfigError(f"{path}: the key can't be read ({error.strerror})") from error
        if len(secret) < LEAST_KEY_BYTES:
            raise ConfigError(f"{path}: a key has at least {LEAST_KEY_BYTES} random bytes")
        return cls(secret)

    def digest(self, purpose: str, text: str) -> str:
        """A short digest of ``text``; ``purpose`` keeps digests of the same text for two purposes apart."""
        return self._mac(purpose, text).hex()[:DIGEST_LENGTH]

    def uid(self, original: str) -> str:
        """The UID under 2.25 (PS3.5 B.2) that stands for ``original`` everywhere; a version 8 UUID (RFC 9562)."""
        bits = bytearray(self._mac("uid", original)[:16])
        bits[6] = bits[6] & 0x0F | 0x80
        bits[8] = bits[8] & 0x3F | 0x80
        return f"2.25.{uuid.UUID(bytes=bytes(bits)).int}"

    def shift(self, patient: str) -> int:
        """By how many days a patient's dates are moved into the past, within the two limits."""
        drawn = int.from_bytes(self._mac("shift", patient)[:8], "big")
        return SHORTEST_SHIFT + drawn % (LONGEST_SHIFT - SHORTEST_SHIFT + 1)

    def _mac(self, purpose: str, text: str) -> bytes:
        message = f"{purpose}\0{text}".encode("utf-8", "surrogateescape")
        return hmac.digest(self._secret, message, hashlib.sha256)
