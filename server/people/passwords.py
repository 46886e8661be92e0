"""Argon2id, off the event loop: one hash takes tens of milliseconds and 64 MiB."""

import asyncio
import functools

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

MIN_LENGTH = 10
MAX_LENGTH = 200
# Bounds memory (64 MiB each with argon2-cffi's defaults, RFC 9106 low-memory profile) when many sign in at once.
_AT_ONCE = 2


@functools.cache
def _decoy() -> str:
    """What is checked in place of an absent hash; made once, for it costs as long as any other."""
    return PasswordHasher().hash("nobody has this password")


class Passwords:
    """Hashes and checks passwords with bounded concurrency."""

    def __init__(self) -> None:
        self._hasher = PasswordHasher()
        self._turn = asyncio.Semaphore(_AT_ONCE)
        self._decoy = _decoy()

    async def hash(self, password: str) -> str:
        async with self._turn:
            return await asyncio.to_thread(self._hasher.hash, password)

    async def check(self, stored: str | None, password: str) -> bool:
        """Whether the password is right. An absent hash costs the same time, so names cannot be guessed by timing."""
        async with self._turn:
            right = await asyncio.to_thread(self._verify, stored or self._decoy, password)
        return right and stored is not None

    def _verify(self, stored: str, password: str) -> bool:
        try:
            return self._hasher.verify(stored, password)
        except (VerificationError, InvalidHashError):
            return False
