"""How an event ended, as masks over rows, from the words and status codes of HTTP, gRPC, Zeek and Suricata."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from telemetry import EventBatch, Words

Mask = NDArray[np.bool_]
# Zeek's conn_state where the other side never really answered, or the attempt was broken off
_FAILED_STATES = frozenset(("S0", "REJ", "RSTO", "RSTOS0", "RSTRH", "SH", "SHR"))
_THREE_PACKETS = 162  # bytes of the smallest: Ethernet, IPv4 and TCP without options
_UNAUTHENTICATED = (401, 16)  # HTTP, gRPC
_FORBIDDEN = (403, 7)
_ERRORS = (404, 410, *range(500, 600), 2, 5, 12, 13, 14)
_MEANING = np.zeros(1 << 16, np.uint8)  # of each status
for _place, _statuses in enumerate((_UNAUTHENTICATED, _FORBIDDEN, _ERRORS), 1):
    _MEANING[list(_statuses)] = _place


@dataclass(frozen=True, slots=True)
class RequestOutcome:
    """Each row is at most one of these; a row that is none went well."""

    refused: Mask  # by policy: who asked is known and may not
    unauthenticated: Mask  # no valid proof of who asks
    failed: Mask  # not found, or the service's own fault


def request_outcome(batch: EventBatch) -> RequestOutcome:
    """Read the outcomes of requests."""
    told = _MEANING[batch.status.astype(np.uint16)]
    unauthenticated = told == 1
    refused = ((told == 2) | _is(batch.outcome, "deny")) & ~unauthenticated
    failed = ((told == 3) | _is(batch.outcome, "error")) & ~refused & ~unauthenticated
    return RequestOutcome(refused, unauthenticated, failed)


def flow_failed(batch: EventBatch) -> Mask:
    """Which flows never became a conversation.

    Suricata says "new …" of a flow that was never answered, and "closed …" of one that was refused as of one that
    was talked over; where anything was said, at least three packets came back: to open, to acknowledge, to close.
    """
    words = batch.outcome
    failed = np.array([text in _FAILED_STATES or _state(text) == "new" for text in words.values], np.bool_)
    closed = np.array([_state(text) == "closed" for text in words.values], np.bool_)
    if not closed.any():
        return failed[words.codes] if len(failed) else np.zeros(len(words.codes), np.bool_)
    return failed[words.codes] | (closed[words.codes] & (batch.bytes_in > 0) & (batch.bytes_out < _THREE_PACKETS))


def _state(text: str) -> str:
    return text.partition(" ")[0]


def _is(words: Words, text: str) -> Mask:
    return np.fromiter(map(text.__eq__, words.values), np.bool_, len(words.values))[words.codes]
