"""What passes between the gateway and the detector worker over `detectors.sock`, in frames of `telemetry.framing`.

The gateway numbers the batches that it sends. The worker answers each number, with the verdicts or with none; what is
not yet answered is what waits, and that is all the gateway needs to see back-pressure. One answer covers every lower
number: batches that waited together are judged together.
"""

from __future__ import annotations

import msgspec

from detectors.verdict import Verdict


class Batch(msgspec.Struct, frozen=True, tag=True):
    """Gateway to worker: events to judge."""

    data: bytes  # EventBatch.to_bytes()
    number: int  # counts up by one on each connection, from 1


class Verdicts(msgspec.Struct, frozen=True, tag=True):
    """Worker to gateway: what came of every batch up to `number`. Raises ValueError for a score that is none."""

    verdicts: list[Verdict]
    number: int

    def __post_init__(self) -> None:
        for verdict in self.verdicts:
            if not (0.0 <= verdict.score <= 1.0 and 0.0 <= verdict.threshold <= 1.0):  # false of NaN, too
                raise ValueError(f"verdict {verdict.id}: score and threshold must be within 0 and 1")


def batch_decoder() -> msgspec.msgpack.Decoder[Batch]:
    """For `read_frame` at the worker."""
    return msgspec.msgpack.Decoder(Batch)


def verdicts_decoder() -> msgspec.msgpack.Decoder[Verdicts]:
    """For `read_frame` at the gateway."""
    return msgspec.msgpack.Decoder(Verdicts)
