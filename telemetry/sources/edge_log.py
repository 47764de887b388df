"""The edge's log: batches that Envoy's module writes become columns without a look at each record.

A batch is a head, a block of numbers and a block of texts, each ended by a NUL (`gateway/edge/module/log.h`).
"""

from __future__ import annotations

from struct import Struct
from typing import Final

import numpy as np

from telemetry.event import EventBatch, Kind
from telemetry.malformed import MAX_TEXT
from telemetry.sources.effect import effect_of
from telemetry.words import Words

SOURCE: Final = "edge"
LARGEST: Final = 32 << 20  # bytes of a batch
_HEAD: Final = Struct("<IIQ")  # bytes that follow, records, records that were dropped for want of room
HEAD: Final = _HEAD.size  # bytes of a batch's head
_LENGTH: Final = 4
_NUMBERS: Final = np.dtype(
    [("time", "<f8"), ("duration", "<f8"), ("bytes_in", "<i8"), ("bytes_out", "<i8"), ("status", "<u2")]
)
_TEXTS: Final = 9
_MAX_STATUS: Final = 32767


class MalformedBatch(ValueError):
    """The edge sent something else than a batch."""


def batch_length(head: bytes | bytearray) -> int:
    """Bytes of the batch that begins so, its head included. Raises MalformedBatch."""
    length = _HEAD.unpack_from(head)[0] + _LENGTH
    if not HEAD <= length <= LARGEST:
        raise MalformedBatch(f"a batch of {length} bytes")
    return int(length)


def edge_log(data: bytes) -> tuple[EventBatch, int]:
    """The batch of one whole frame, and how many records were dropped before it. Raises MalformedBatch."""
    _, count, dropped = _HEAD.unpack_from(data)
    texts_at = HEAD + count * _NUMBERS.itemsize
    texts = data[texts_at:].decode("latin-1").split("\0")
    if texts_at > len(data) or len(texts) != count * _TEXTS + 1:
        raise MalformedBatch(f"{count} records, {len(texts) - 1} texts")
    if not count:
        return EventBatch.of(()), dropped
    return _columns(np.frombuffer(data, _NUMBERS, count, HEAD), texts), dropped


def _columns(numbers: np.ndarray[tuple[int], np.dtype[np.void]], texts: list[str]) -> EventBatch:
    method, path, cluster, address, decision, subject, actor, effect, details = (
        texts[place:-1:_TEXTS] for place in range(_TEXTS)
    )
    count = len(numbers)
    said = [effect_of(text) for text in effect]
    status = np.minimum(numbers["status"], _MAX_STATUS).astype(np.int16)
    nothing = Words.same("", count)
    return EventBatch(
        time=numbers["time"].copy(),
        kind=np.full(count, Kind.REQUEST, np.uint8),
        source=Words.same(SOURCE, count),
        subject=Words.of(subject),
        actor=Words.of(actor),
        session=Words.of(decision),
        address=Words.of(address),
        peer=nothing,
        service=Words.of(cluster),
        resource=Words.of(_bounded(path)),
        action=Words.of(method),
        outcome=Words.of(
            outcome or _outcome(int(code), why) for (outcome, _), code, why in zip(said, status, details, strict=True)
        ),
        name=Words.of(block for _, block in said),
        status=status,
        port=np.zeros(count, np.int32),
        severity=np.zeros(count, np.uint8),
        bytes_in=np.maximum(numbers["bytes_in"], 0),
        bytes_out=np.maximum(numbers["bytes_out"], 0),
        duration=numbers["duration"].copy(),
    )


def _bounded(texts: list[str]) -> list[str]:
    return [text[:MAX_TEXT] for text in texts]


def _outcome(status: int, details: str) -> str:
    """Of a request that nobody judged: the edge itself refused it, or nobody could be asked."""
    if status == 0 or status >= 500:
        return "error"
    if details == "via_upstream":
        return "allow"
    return "deny" if status in (401, 403) else "error"
