"""Digests of text, as hexadecimal, and a comparison that takes as long whatever it finds."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from typing import Any

from policy.rego.builtins.operands import octets
from policy.rego.builtins.strings import texts


def _digest(name: str) -> Callable[..., Any]:
    return texts(lambda text: hashlib.new(name, octets(text), usedforsecurity=False).hexdigest())


def _hmac(name: str) -> Callable[..., Any]:
    return texts(lambda text, secret: hmac.new(octets(secret), octets(text), name).hexdigest())


BUILTINS = {
    **{f"crypto.{name}": _digest(name) for name in ("md5", "sha1", "sha256")},
    **{f"crypto.hmac.{name}": _hmac(name) for name in ("md5", "sha1", "sha256", "sha512")},
    "crypto.hmac.equal": texts(lambda a, b: hmac.compare_digest(octets(a), octets(b))),
}
