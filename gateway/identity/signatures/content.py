"""The content of a request and its digest (RFC 9530): what binds a signature to a body."""

from __future__ import annotations

import hashlib
from typing import Any

from gateway.identity.signatures import fields
from gateway.identity.signatures.message import Message

_ALGORITHMS = {"sha-256": hashlib.sha256, "sha-512": hashlib.sha512}  # those that RFC 9530 section 5 holds for secure
# Methods that give content no meaning (RFC 9110 section 9.3): without a sign of content, there is none.
_WITHOUT_CONTENT = frozenset({"GET", "HEAD", "DELETE", "CONNECT", "OPTIONS", "TRACE"})


def may_have_content(message: Message) -> bool:
    """Whether a request has content, or may have some that nobody has read."""
    if message.body is not None:
        return message.body != b""
    if message.unread or message.values("transfer-encoding"):
        return True
    lengths = message.values("content-length")
    return any(length != "0" for length in lengths) if lengths else message.method not in _WITHOUT_CONTENT


def check_digest(field: str, body: bytes) -> None:
    """Compare a Content-Digest with the content. Raises ValueError unless there is a digest by an algorithm that counts
    and each of those is right.
    """
    digests = {name: value for name, value in fields.dictionary(field).items() if name in _ALGORITHMS}
    if not digests:
        raise ValueError("Content-Digest has neither sha-256 nor sha-512")
    for name, value in digests.items():
        _check(name, value, body)


def _check(name: str, value: Any, body: bytes) -> None:
    if value[0] != _ALGORITHMS[name](body).digest():
        raise ValueError(f"the content is not what Content-Digest says by {name}")
