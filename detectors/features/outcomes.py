"""How an event ended, as masks over rows, from the words and status codes of HTTP, gRPC, Zeek and Suricata."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from telemetry import EventBatch, Words

Mask = NDArray[np.bool_]
# Zeek's conn_state where the other side never really answered, or the attempt was broken off
_FAILED_STATES = frozenset(("S0", "REJ", "RSTO", "RSTOS0", "RSTRH", "SH", "SHR"))
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
    """Which flows never became a conversation. Suricata says "new …" of a flow that was never answered."""
    words = batch.outcome
    failed = [text in _FAILED_STATES or text.partition(" ")[0] == "new" for text in words.values]
    return np.array(failed, np.bool_)[words.codes] if failed else np.zeros(len(words.codes), np.bool_)


def _is(words: Words, text: str) -> Mask:
    return np.fromiter(map(text.__eq__, words.values), np.bool_, len(words.values))[words.codes]
