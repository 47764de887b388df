"""Poll-based delivery (RFC 8936): what a receiver asks and reports, read strictly, and what it gets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from gateway.signals.transmitter.errors import err_of
from gateway.signals.transmitter.stream import Refused

MOST_SETS: Final = 32  # in one answer: signing them all takes about a millisecond
_MOST_SETTLED: Final = 5_000  # acknowledged or refused in one request


class Poll(msgspec.Struct, frozen=True):
    """One request (section 2.2)."""

    most: int = MOST_SETS
    at_once: bool = False  # answer though nothing waits
    acknowledged: tuple[str, ...] = ()
    refused: Mapping[str, dict[str, Any]] = {}  # by jti: `err` and perhaps `description`


def read_poll(body: dict[str, Any]) -> Poll | Refused:
    """Read a request. Members that RFC 8936 does not name are ignored."""
    most, at_once = body.get("maxEvents", MOST_SETS), body.get("returnImmediately", False)
    acknowledged, errors = body.get("ack", []), body.get("setErrs", {})
    checks = (
        (type(most) is int and most >= 0, "maxEvents is no number of events"),
        (isinstance(at_once, bool), "returnImmediately is neither true nor false"),
        (isinstance(acknowledged, list) and all(isinstance(one, str) for one in acknowledged), "ack is no list of ids"),
        (isinstance(errors, dict) and all(err_of(one) for one in errors.values()), "setErrs has no err by id"),
    )
    wrong = next((why for holds, why in checks if not holds), "")
    if wrong:
        return Refused(400, wrong)
    if len(acknowledged) + len(errors) > _MOST_SETTLED:
        return Refused(400, f"more than {_MOST_SETTLED} events at once")
    return Poll(min(most, MOST_SETS), at_once, tuple(acknowledged), errors)
