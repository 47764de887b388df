"""QoS 1 messages on their way to the broker; they outlive a connection, as the broker's session does (MQTT 5, 4.4).

No more are under way at once than the broker says that it takes (Receive Maximum, 4.9); the others wait, in order.
What is for now alone is not sent later: once it is past its time it does not go out, and where the broker would have to
get it again, the broker is to forget the session. Pure.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Literal, NamedTuple

import msgspec
from mqtt5 import PublishPacket, QoS
from prometheus_client import Counter

CONTENT_TYPE = "application/openc2"
WAITING = 10_000  # messages that wait for the broker; beyond it publishing fails

Kind = Literal["req", "rsp", "ntf"]
_IDS = 1 << 16
_late = Counter("portcullis_defense_lines_openc2_late_total", "Messages not sent, or not again: past their time")


class Outgoing(msgspec.Struct, frozen=True):
    """A message of OpenC2 in JSON."""

    topic: str
    payload: bytes
    kind: Kind
    lives: float = math.inf  # seconds after which nobody shall get it any more


class _Message(NamedTuple):
    """One that waits, or is under way."""

    said: Outgoing
    end: float  # monotonic seconds

    def packet(self, packet_id: int, now: float, duplicate: bool = False) -> bytes:
        """What travels (OpenC2 over MQTT 1.0, 3.2). The broker throws it away in whole seconds."""
        return PublishPacket(
            self.said.topic,
            self.said.payload,
            qos=QoS.AT_LEAST_ONCE,
            packet_id=packet_id,
            duplicate=duplicate,
            payload_format_indicator=1,
            message_expiry_interval=None if self.end == math.inf else math.ceil(self.end - now),
            content_type=CONTENT_TYPE,
            user_properties=[("msgType", self.said.kind), ("encoding", "json")],
        ).write()


class Outbox:
    """Gives the bytes that are to be written now. `now` is monotonic seconds."""

    def __init__(self) -> None:
        self._waiting: deque[_Message] = deque()
        self._under_way: dict[int, _Message] = {}  # by packet id, in the order sent
        self._window = 0  # none before the broker was asked
        self._last = 0

    def put(self, message: Outgoing, now: float) -> None:
        """One more message. Raises BufferError if too many wait."""
        if len(self._waiting) >= WAITING:
            raise BufferError(f"{WAITING} messages wait for the broker")
        self._waiting.append(_Message(message, now + message.lives))

    def acknowledge(self, packet_id: int) -> None:
        """The broker has one; whether it wanted it or not, it is told no more of it."""
        self._under_way.pop(packet_id, None)

    @property
    def to_be_forgotten(self) -> bool:
        """Whether the broker is to forget the session (Clean Start 1): in one that goes on, each message under way has
        to go again (MQTT 5, 4.4), also one that by then is past its time.
        """
        return any(message.end < math.inf for message in self._under_way.values())

    def resume(self, session_present: bool, window: int, now: float) -> bytes:
        """A connection stands. What the broker never acknowledged goes again, unless it forgot whose it was."""
        self._window = window
        again = {number: message for number, message in self._under_way.items() if message.end == math.inf}
        _late.inc(len(self._under_way) - len(again))
        self._under_way = again if session_present else {}
        return b"".join(message.packet(number, now, duplicate=True) for number, message in self._under_way.items())

    def due(self, now: float) -> bytes:
        """What the broker takes now; it counts as under way. To be asked for by the connection that stands alone."""
        sent = []
        while self._waiting and len(self._under_way) < self._window:
            message = self._waiting.popleft()
            if message.end <= now:
                _late.inc()
                continue
            number = self._number()
            self._under_way[number] = message
            sent.append(message.packet(number, now))
        return b"".join(sent)

    def _number(self) -> int:
        while True:
            self._last = self._last % (_IDS - 1) + 1
            if self._last not in self._under_way:
                return self._last
