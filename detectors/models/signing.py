"""Who vouches for what lies on a shelf: Ed25519 signatures (RFC 8032), each for one purpose, and the keys believed.

The bytes of a file are verified before they are parsed: what nobody signed never reaches a decoder of ours.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from detectors.models import durable
from detectors.models.refused import ModelRefused

Purpose = Literal["card", "history", "evaluation"]  # one can never pass for another
_ID = 16  # hex digits that name a key
_OTHERS = 0o077  # permissions that a private key must not have


class Signature(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A signature, and whose it says it is."""

    key: str  # the first 16 hex digits of the SHA-256 of the public key's 32 bytes
    signature: bytes  # 64 bytes, Base64 in JSON


class Keys:
    """The keys that a shelf believes: its own, with which it signs, if it has one; and those that it was told of."""

    def __init__(self, own: Ed25519PrivateKey | None, trusted: Iterable[Ed25519PublicKey] = ()) -> None:
        self._own = own
        ours = [own.public_key()] if own else []
        self._known = {key_id(key): key for key in (*trusted, *ours)}
        self.own = key_id(ours[0]) if ours else ""

    def sign(self, purpose: Purpose, body: bytes) -> Signature:
        """Sign with our own key. Raises ModelRefused where there is none."""
        if self._own is None:
            raise ModelRefused("this shelf's own key (shelf.key) cannot be read: nothing can be signed here")
        return Signature(self.own, self._own.sign(_message(purpose, body)))

    def verify(self, purpose: Purpose, body: bytes, signature: bytes, path: Path) -> str:
        """The id of the key whose signature (a `Signature` in JSON) this is. Raises ModelRefused, naming `path`."""
        try:
            claimed = msgspec.json.decode(signature, type=Signature)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise ModelRefused(f"{path}: unsigned: {error}") from error
        key = self._known.get(claimed.key)
        if key is None:
            raise ModelRefused(f"{path}: signed by key {claimed.key!r}, which is not trusted here")
        try:
            key.verify(claimed.signature, _message(purpose, body))
        except InvalidSignature as error:
            raise ModelRefused(f"{path}: altered, its signature does not fit") from error
        return claimed.key

    def seal(self, purpose: Purpose, body: bytes) -> bytes:
        """A document and its signature in one file, a line each, so that one is never replaced without the other."""
        return body + b"\n" + msgspec.json.encode(self.sign(purpose, body)) + b"\n"

    def unseal(self, purpose: Purpose, sealed: bytes, path: Path) -> tuple[bytes, str]:
        """Reverse of `seal`: the document and the id of its key. Raises ModelRefused."""
        body, _, signature = sealed.removesuffix(b"\n").rpartition(b"\n")
        return body, self.verify(purpose, body, signature, path)


def key_id(key: Ed25519PublicKey) -> str:
    """What a public key is called."""
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()[:_ID]


def found_key(private: Path, public: Path) -> Ed25519PrivateKey:
    """Make a key and write both halves durably, the private one (mode 0600) last. Raises OSError."""
    key = Ed25519PrivateKey.generate()
    info = serialization.PublicFormat.SubjectPublicKeyInfo
    durable.put(public, key.public_key().public_bytes(serialization.Encoding.PEM, info))
    plain = serialization.NoEncryption()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    durable.put(private, pem, 0o600)
    return key


def read_private(path: Path) -> Ed25519PrivateKey | None:
    """A shelf's own key (PEM); None where there is no file, or another user's, who alone signs then.

    Raises ModelRefused if others may read or write it, or it is no key.
    """
    try:
        mode, pem = path.stat().st_mode, path.read_bytes()
    except (FileNotFoundError, PermissionError):
        return None
    except OSError as error:
        raise ModelRefused(f"{path}: {error.strerror}") from error
    if mode & _OTHERS:
        raise ModelRefused(f"{path}: a private key that others may read or write; its mode must be 0600")
    try:
        key = serialization.load_pem_private_key(pem, None)
    except (ValueError, TypeError) as error:
        raise ModelRefused(f"{path}: not a private key") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise ModelRefused(f"{path}: not an Ed25519 key")
    return key


def read_public(path: Path) -> Ed25519PublicKey:
    """A public key to trust (PEM). Raises ModelRefused."""
    try:
        key = serialization.load_pem_public_key(path.read_bytes())
    except OSError as error:
        raise ModelRefused(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise ModelRefused(f"{path}: not a public key") from error
    if not isinstance(key, Ed25519PublicKey):
        raise ModelRefused(f"{path}: not an Ed25519 public key")
    return key


def _message(purpose: Purpose, body: bytes) -> bytes:
    return b"portcullis model " + purpose.encode() + b"\0" + body
