"""A JSON body that everybody reads alike (I-JSON, RFC 7493): what policy judges is what the service behind will see."""

from __future__ import annotations

import json
from typing import Any

from policy import decode_json


class Ambiguous(ValueError):
    """It is JSON, but two readers may see two different values."""


def read_json(body: bytes) -> Any:
    """The value, without loss. Raises Ambiguous for equal names in one object and for what is no Unicode, ValueError
    for what is no JSON or nested too deep.
    """
    value = decode_json(body)
    try:
        plain = json.loads(body.decode(), object_pairs_hook=_once)
        if b"\\u" in body:
            json.dumps(plain, ensure_ascii=False).encode()
    except UnicodeError:
        raise Ambiguous("not Unicode") from None
    return value


def _once(members: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(members)
    if len(value) != len(members):
        raise Ambiguous("a name stands twice in one object")
    return value
