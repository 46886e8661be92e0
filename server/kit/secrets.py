"""Random tokens, their digests, and signatures with the installation's own key."""

import hashlib
import hmac
import os
import secrets
from pathlib import Path

TOKEN_BYTES = 32  # 256 bits; sessions need at least 128
_KEY_BYTES = 32


def new_token() -> str:
    """A random URL-safe token of 256 bits. Store its `digest`, never the token."""
    return secrets.token_urlsafe(TOKEN_BYTES)


def digest(token: str) -> str:
    """SHA-256 in hex. A plain hash is enough because tokens are random, not chosen."""
    return hashlib.sha256(token.encode()).hexdigest()


class Signer:
    """HMAC-SHA-256 with the key of this installation."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def sign(self, purpose: str, text: str) -> str:
        return hmac.new(self._key, f"{purpose}\0{text}".encode(), hashlib.sha256).hexdigest()

    def matches(self, purpose: str, text: str, signature: str) -> bool:
        return hmac.compare_digest(self.sign(purpose, text).encode(), signature.encode())


def load_or_create_key(path: Path) -> bytes:
    """The key in `path`; made with mode 0600 when absent. Raises ValueError when the file is too short to be a key."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        key = path.read_bytes()
        if len(key) < _KEY_BYTES:
            raise ValueError(
                f"{path}: a key has at least {_KEY_BYTES} bytes; remove the file to make a new one"
            ) from None
        return key
    with os.fdopen(handle, "wb") as file:
        key = secrets.token_bytes(_KEY_BYTES)
        file.write(key)
    return key
