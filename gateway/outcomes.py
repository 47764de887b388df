"""What became of requests, as the edge's log says it: who passed, who failed, who was refused; each named once."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from defense_lines import Request
from telemetry import EventBatch, Words

_OURS = "edge"  # the only source believed: what agents and other Envoys report must not sway the guard


class Outcomes(NamedTuple):
    """Callers are principals, or addresses of requests that name nobody."""

    passed: set[str]
    failed: set[str]
    refused: set[Request]


def outcomes(batch: EventBatch) -> Outcomes:
    """Of a batch of events; what is no request at our own edge is left out."""
    ours = _is(batch.source, _OURS)
    refused = ours & _is(batch.outcome, "deny")
    failed = ours & ~refused & ((batch.status == 0) | (batch.status >= 500) | _is(batch.outcome, "error"))
    passed = ours & ~refused & ~failed
    return Outcomes(_callers(batch, passed), _callers(batch, failed), _requests(batch, refused))


def _is(words: Words, text: str) -> NDArray[np.bool_]:
    code = words.values.index(text) if text in words.values else -1
    equal: NDArray[np.bool_] = words.codes == code
    return equal


def _callers(batch: EventBatch, rows: NDArray[np.bool_]) -> set[str]:
    named = {batch.subject.values[code] for code in np.unique(batch.subject.codes[rows])}
    nobodys = rows & _is(batch.subject, "")
    addresses = {batch.address.values[code] for code in np.unique(batch.address.codes[nobodys])}
    return (named | addresses) - {""}


def _requests(batch: EventBatch, rows: NDArray[np.bool_]) -> set[Request]:
    columns = (batch.subject, batch.actor, batch.address)
    mixed: NDArray[Any] = np.zeros(int(rows.sum()), np.int64)
    for words in columns:
        mixed = mixed * len(words.values) + words.codes[rows]
    _, first = np.unique(mixed, return_index=True)
    chosen = np.flatnonzero(rows)[first]
    return {Request(*(words.text(int(row)) for words in columns)) for row in chosen}
