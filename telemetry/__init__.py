"""What happened. An event is one thing that happened; a batch is many as columns; a source turns somebody's
words into events; the bus carries batches to whoever reads them and counts what it had to shed.
"""

from telemetry.event import COLUMNS, Event, EventBatch, InvalidBatch, Kind, Words, concatenate
from telemetry.framing import FrameError, frame, read_frame

__all__ = [
    "COLUMNS",
    "Event",
    "EventBatch",
    "FrameError",
    "InvalidBatch",
    "Kind",
    "Words",
    "concatenate",
    "frame",
    "read_frame",
]
