"""Seals on OpenC2 messages: the Message's `signature` (OpenC2 over MQTT 1.0, 2.4.2) is a detached JWS (RFC 7515, F).

What is signed is the message as it is sent, without that member, which comes last: the bytes are taken as they are and
nothing is put into a canonical form. Commands carry the gateway's Ed25519 signature (EdDSA, RFC 8037), so that one
message can be for all; answers carry an HMAC (HS256) under a key that the gateway shares with that one consumer, for it
is checked a thousand times where the other is checked once.
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from pathlib import Path

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

KEY_BYTES = 32


def _encode(data: bytes) -> bytes:
    return urlsafe_b64encode(data).rstrip(b"=")


def _decode(text: str | bytes) -> bytes:
    padding = "=" if isinstance(text, str) else b"="
    return urlsafe_b64decode(text + padding * (-len(text) % 4))  # type: ignore[operator]


_COMMAND, _ANSWER = _encode(b'{"alg":"EdDSA"}'), _encode(b'{"alg":"HS256"}')
_COMMAND_LENGTH, _ANSWER_LENGTH = len(_encode(bytes(64))), len(_encode(bytes(32)))


class Enrolment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one consumer has to know: whose commands it obeys, and how it proves that an answer is its own."""

    device: str
    commands_key: str  # the gateway's public key, base64url
    answers_key: str  # base64url, secret

    @property
    def public(self) -> Ed25519PublicKey:
        """The key that checks commands. Raises ValueError."""
        return Ed25519PublicKey.from_public_bytes(_decode(self.commands_key))

    @property
    def secret(self) -> bytes:
        """The key of answers. Raises ValueError."""
        key = _decode(self.answers_key)
        if len(key) != KEY_BYTES:
            raise ValueError(f"answers_key: {KEY_BYTES} bytes")
        return key


def enrol(key: Ed25519PrivateKey, device: str) -> Enrolment:
    """The enrolment of a consumer with whoever signs with `key`."""
    public = key.public_key().public_bytes_raw()
    return Enrolment(device, _encode(public).decode(), _encode(answers_key(key, device)).decode())


def read_enrolment(path: Path) -> Enrolment:
    """Raises OSError, ValueError."""
    read = msgspec.json.decode(path.read_bytes(), type=Enrolment)
    _ = read.public, read.secret  # both raise for what is no key
    return read


def answers_key(key: Ed25519PrivateKey, device: str) -> bytes:
    """The key under which a consumer seals its answers: HKDF (RFC 5869), so that no list of secrets has to be kept."""
    info = b"portcullis openc2 answers\0" + device.encode()
    return HKDF(hashes.SHA256(), KEY_BYTES, None, info).derive(key.private_bytes_raw())


def seal_command(message: bytes, key: Ed25519PrivateKey) -> bytes:
    """A JSON object with the gateway's signature as its last member."""
    return _joined(message, _COMMAND, key.sign(_input(_COMMAND, message)))


def open_command(message: bytes, key: Ed25519PublicKey) -> bytes | None:
    """The JSON object that was sealed; None if it was not, by this key."""
    inner, signature = _parted(message, _COMMAND, _COMMAND_LENGTH)
    try:
        key.verify(signature, _input(_COMMAND, inner))
    except InvalidSignature:
        return None
    return inner


def seal_answer(message: bytes, key: bytes) -> bytes:
    """A JSON object with a consumer's seal as its last member."""
    return _joined(message, _ANSWER, hmac.digest(key, _input(_ANSWER, message), "sha256"))


def sealed_answer(message: bytes, key: bytes) -> bool:
    """Whether a JSON object has the seal of whoever holds the key."""
    inner, seal = _parted(message, _ANSWER, _ANSWER_LENGTH)
    return hmac.compare_digest(seal, hmac.digest(key, _input(_ANSWER, inner), "sha256"))


def _input(header: bytes, message: bytes) -> bytes:
    return header + b"." + _encode(message)


def _joined(message: bytes, header: bytes, signature: bytes) -> bytes:
    return message[:-1] + b',"signature":"' + header + b".." + _encode(signature) + b'"}'


def _parted(message: bytes, header: bytes, length: int) -> tuple[bytes, bytes]:
    """The message without its signature, and that; an empty signature where there is none of this kind."""
    before = b',"signature":"' + header + b".."
    end = len(message) - len(before) - length - 2
    if end < 0 or not message.startswith(before, end) or not message.endswith(b'"}'):
        return message, b""
    try:
        return message[:end] + b"}", _decode(message[end + len(before) : -2])
    except ValueError:
        return message, b""
