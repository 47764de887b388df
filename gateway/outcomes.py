"""What became of requests, as the edge's log says it: who passed, who failed, whom blocks refused; each named once.

Only who has proved who they are counts: an address is nobody's name, and whoever has many would be many. And only a
block's refusal is a block's doing: what policy or identification refuses anybody can bring about at will.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from defense_lines import Request
from telemetry import EventBatch, Words

_OURS = "edge"  # the only source believed: what agents and other Envoys report must not sway the guard


class Outcomes(NamedTuple):
    """Of those who were identified. Who was refused otherwise than by a block neither passed nor failed."""

    passed: set[str]  # principals
    failed: set[str]
    refused: set[Request]


def outcomes(batch: EventBatch) -> Outcomes:
    """Of a batch of events; what is no request at our own edge is left out."""
    ours = _is(batch.source, _OURS) & ~_is(batch.subject, "")
    denied = _is(batch.outcome, "deny")
    failed = ours & ((batch.status == 0) | (batch.status >= 500) | _is(batch.outcome, "error"))
    blocked = ours & denied & ~_is(batch.name, "")
    passed = ours & ~denied & ~failed
    return Outcomes(_named(batch.subject, passed), _named(batch.subject, failed), _requests(batch, blocked))


def _is(words: Words, text: str) -> NDArray[np.bool_]:
    code = words.values.index(text) if text in words.values else -1
    equal: NDArray[np.bool_] = words.codes == code
    return equal


def _named(words: Words, rows: NDArray[np.bool_]) -> set[str]:
    return {words.values[code] for code in np.unique(words.codes[rows])}


def _requests(batch: EventBatch, rows: NDArray[np.bool_]) -> set[Request]:
    columns = (batch.subject, batch.actor, batch.address, batch.name)
    mixed: NDArray[Any] = np.zeros(int(rows.sum()), np.int64)
    for words in columns:
        mixed = mixed * len(words.values) + words.codes[rows]
    _, first = np.unique(mixed, return_index=True)
    chosen = np.flatnonzero(rows)[first]
    return {Request(*(words.text(int(row)) for words in columns)) for row in chosen}
