"""A verdict's identity: the same judgement of the same subject at the same time has the same id."""

from __future__ import annotations

import hashlib


def verdict_id(detector: str, kind: str, subject: str, now: float, model: str) -> str:
    """ "v-" and 16 hex digits."""
    body = "\0".join((detector, kind, subject, repr(now), model)).encode("utf-8", "surrogatepass")
    return f"v-{hashlib.blake2b(body, digest_size=8).hexdigest()}"
