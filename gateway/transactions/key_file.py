"""The key ring's file: private keys that outlive a restart, for this user alone."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec
from jwt import PyJWTError
from jwt.algorithms import ECAlgorithm

from gateway.transactions.keys import KeyRing, Rotation, SigningKey

_LARGEST = 1 << 16  # bytes; a ring has a few keys


class SigningKeys:
    """The ring in a file, and its public half in `jwks.json` beside it. Raises OSError where the file cannot be had,
    ValueError where it is not one of ours or is not ours alone: a gateway that cannot trust its keys does not start.
    """

    def __init__(self, path: Path, rotation: Rotation, now: float) -> None:
        self._path = path
        self._rotation = rotation
        known = _read(path)
        self.ring = known or KeyRing.first(_new, now)
        if known is None:
            _write(path, self.ring)
        if not self.turn(now):
            _publish(path, self.ring)

    def turn(self, now: float) -> bool:
        """Renew the ring where that is due at `now` (Unix seconds); true if it changed. What is not on disk does not
        sign: a ring that cannot be written is not used. Raises OSError.
        """
        turned = self.ring.turned(_new, self._rotation, now)
        if turned is self.ring:
            return False
        _write(self._path, turned)
        _publish(self._path, turned)
        self.ring = turned
        return True


def _new() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _read(path: Path) -> KeyRing | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode) or facts.st_uid != os.geteuid() or stat.S_IMODE(facts.st_mode) & 0o077:
            raise ValueError(f"{path} must be a file of this user, with mode 0600")
        text = file.read(_LARGEST)
    try:
        keys = tuple(_key(entry) for entry in msgspec.json.decode(text)["keys"])
    except (ValueError, KeyError, TypeError, PyJWTError) as error:
        raise ValueError(f"{path} holds no signing keys: {error}") from None
    if not keys:
        raise ValueError(f"{path} holds no signing keys")
    return KeyRing(sorted(keys, key=lambda key: key.signs_from))


def _key(entry: dict[str, Any]) -> SigningKey:
    private = ECAlgorithm(ECAlgorithm.SHA256).from_jwk(entry)
    if not isinstance(private, ec.EllipticCurvePrivateKey):
        raise ValueError("a public key")
    return SigningKey.of(private, float(entry["signs_from"]))


def _write(path: Path, ring: KeyRing) -> None:
    entries = [ECAlgorithm.to_jwk(key.private, as_dict=True) | {"signs_from": key.signs_from} for key in ring.keys]
    _replace(path, msgspec.json.encode({"keys": entries}), 0o600)


def _publish(path: Path, ring: KeyRing) -> None:
    """The public half, for services on this host."""
    _replace(path.with_name("jwks.json"), ring.jwks(), 0o644)


def _replace(path: Path, text: bytes, mode: int) -> None:
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(text)
        file.flush()
        os.fsync(descriptor)
    fresh.replace(path)
    _sync(path.parent)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
