"""What passes between the gateway and the detector worker over `detectors.sock`, in frames of `telemetry.framing`.

The gateway numbers the batches that it sends, for as long as it lives. The worker answers each number, with the
verdicts or with none; what is not yet answered is what waits, and that is all the gateway needs to see back-pressure.
One answer covers every lower number: batches that waited together are judged together. On a new connection the gateway
says whose numbers these are and sends again what was not answered, under the same numbers: the worker knows which of
them it has judged.
"""

from __future__ import annotations

import msgspec

from detectors.verdict import Verdict

MOST_UNANSWERED = 64  # batches on their way; beyond it the gateway waits


class Hello(msgspec.Struct, frozen=True, tag=True):
    """Gateway to worker, first on each connection: whose numbers follow."""

    stream: str  # one for each life of a gateway


class Batch(msgspec.Struct, frozen=True, tag=True):
    """Gateway to worker: events to judge."""

    data: bytes  # EventBatch.to_bytes()
    number: int  # counts up by one, from 1


class Verdicts(msgspec.Struct, frozen=True, tag=True):
    """Worker to gateway: what came of every batch up to `number`. Raises ValueError for a score that is none."""

    verdicts: list[Verdict]
    number: int

    def __post_init__(self) -> None:
        for verdict in self.verdicts:
            if not (0.0 <= verdict.score <= 1.0 and 0.0 <= verdict.threshold <= 1.0):  # false of NaN, too
                raise ValueError(f"verdict {verdict.id}: score and threshold must be within 0 and 1")
            if not 0.0 <= verdict.confidence <= 1.0:
                raise ValueError(f"verdict {verdict.id}: confidence must be within 0 and 1")


def batch_decoder() -> msgspec.msgpack.Decoder[Hello | Batch]:
    """For `read_frame` at the worker."""
    return msgspec.msgpack.Decoder(Hello | Batch)


def verdicts_decoder() -> msgspec.msgpack.Decoder[Verdicts]:
    """For `read_frame` at the gateway."""
    return msgspec.msgpack.Decoder(Verdicts)
