"""The head is the last entry's place and hash, signed with Ed25519 (RFC 8032) and kept outside the database."""

from __future__ import annotations

import os
import struct
from base64 import urlsafe_b64encode
from pathlib import Path

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from defense_lines.ledger.entry import GENESIS

_CONTEXT = b"portcullis ledger head\0"


class Head(msgspec.Struct, frozen=True):
    """Where the history ends."""

    seq: int
    hash: bytes
    signature: bytes

    @classmethod
    def sign(cls, seq: int, hash_: bytes, key: Ed25519PrivateKey) -> Head:
        """Sign the end of the history."""
        return cls(seq, hash_, key.sign(_message(seq, hash_)))

    @classmethod
    def empty(cls, key: Ed25519PrivateKey) -> Head:
        """The head of a ledger without entries."""
        return cls.sign(0, GENESIS, key)

    def signed_by(self, key: Ed25519PublicKey) -> bool:
        """Whether the signature is this key's."""
        try:
            key.verify(self.signature, _message(self.seq, self.hash))
        except (InvalidSignature, struct.error, TypeError):  # altered fields can be of any type
            return False
        return True

    def __str__(self) -> str:
        """As it travels to lines and comes back in receipts: seq, hash and signature."""
        return f"{self.seq}:{self.hash.hex()}:{urlsafe_b64encode(self.signature).decode()}"


def read_head(path: Path) -> Head | None:
    """The head in a file, None where there is no file. Raises msgspec.DecodeError if it is no head."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Head)
    except FileNotFoundError:
        return None


def stage_head(path: Path, head: Head) -> Path:
    """Write the head beside its file and sync it: what can fail for lack of room fails here. Raises OSError."""
    staged = path.with_suffix(".head-next")
    _write(staged, msgspec.json.encode(head))
    return staged


def publish_head(staged: Path, path: Path) -> None:
    """Put a staged head in place, atomically and durably. Raises OSError."""
    staged.replace(path)
    sync_folder(path.parent)


def new_key() -> Ed25519PrivateKey:
    """A fresh signing key."""
    return Ed25519PrivateKey.generate()


def write_key(key: Ed25519PrivateKey, path: Path, public: Path) -> None:
    """Write both halves durably, the private one (mode 0600) last. Raises OSError."""
    info = serialization.PublicFormat.SubjectPublicKeyInfo
    _write(public, key.public_key().public_bytes(serialization.Encoding.PEM, info), 0o644)
    plain = serialization.NoEncryption()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    staged = path.with_suffix(".key-next")
    _write(staged, pem)
    publish_head(staged, path)


def read_key(path: Path) -> Ed25519PrivateKey:
    """Read a signing key. Raises OSError, ValueError."""
    key = serialization.load_pem_private_key(path.read_bytes(), None)
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError(f"{path.name} is not an Ed25519 key")
    return key


def public_key(path: Path) -> Ed25519PublicKey:
    """Read a public key (PEM). Raises OSError, ValueError."""
    key = serialization.load_pem_public_key(path.read_bytes())
    if not isinstance(key, Ed25519PublicKey):
        raise ValueError(f"{path.name} is not an Ed25519 public key")
    return key


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable. Raises OSError."""
    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def _message(seq: int, hash_: bytes) -> bytes:
    return _CONTEXT + struct.pack(">Q", seq) + hash_


def _write(path: Path, data: bytes, mode: int = 0o600) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    try:
        written = os.write(file, data)
        if written != len(data):
            raise OSError(f"{path.name}: short write, {written} of {len(data)} bytes")
        os.fsync(file)
    finally:
        os.close(file)
