"""What happened. An event is one thing that happened; a batch is many as columns; a source turns somebody's
words into events, or into Malformed where they say nothing; the door refuses what is impossible, and rejects are what
was refused; the bus carries batches to its subscriptions and counts what it had to shed.
"""

from telemetry.broker_tls import broker_tls
from telemetry.bus import Bus, Closed, Subscription
from telemetry.cleanse import HISTORY, LIVE, Bounds, Door, Refused, cleanse
from telemetry.event import COLUMNS, Event, EventBatch, InvalidBatch, Kind, concatenate
from telemetry.files import FileReading, UnknownFormat, read_file
from telemetry.framing import MAX_FRAME, FrameError, Reader, SocketReader, frame, read_frame
from telemetry.hashing import Hashes, hash_letters, mix
from telemetry.logs import plain_logs
from telemetry.malformed import Malformed, Parse, Parsed, ParseMany
from telemetry.rejects import Reject, Rejects
from telemetry.sources.access_log import access_logs
from telemetry.sources.edge_log import HEAD as EDGE_LOG_HEAD
from telemetry.sources.edge_log import MalformedBatch, batch_length, edge_log
from telemetry.sources.endpoint import Report, parse_endpoint
from telemetry.sources.eve import parse_eve
from telemetry.sources.jsonlines import json_line, parse_json_line
from telemetry.sources.mqtt import Topic, subscribe
from telemetry.sources.pcap import read_pcap
from telemetry.sources.tail import follow
from telemetry.sources.windows import parse_windows
from telemetry.sources.zeek import ZeekParser
from telemetry.texts import Texts
from telemetry.words import Words

__all__ = [
    "COLUMNS",
    "EDGE_LOG_HEAD",
    "HISTORY",
    "LIVE",
    "MAX_FRAME",
    "Bounds",
    "Bus",
    "Closed",
    "Door",
    "Event",
    "EventBatch",
    "FileReading",
    "FrameError",
    "Hashes",
    "InvalidBatch",
    "Kind",
    "Malformed",
    "MalformedBatch",
    "Parse",
    "ParseMany",
    "Parsed",
    "Reader",
    "Refused",
    "Reject",
    "Rejects",
    "Report",
    "SocketReader",
    "Subscription",
    "Texts",
    "Topic",
    "UnknownFormat",
    "Words",
    "ZeekParser",
    "access_logs",
    "batch_length",
    "broker_tls",
    "cleanse",
    "concatenate",
    "edge_log",
    "follow",
    "frame",
    "hash_letters",
    "json_line",
    "mix",
    "parse_endpoint",
    "parse_eve",
    "parse_json_line",
    "parse_windows",
    "plain_logs",
    "read_file",
    "read_frame",
    "read_pcap",
    "subscribe",
]
