"""QoS 1 messages on their way to the broker; they outlive a connection, as the broker's session does (MQTT 5, 4.4).

No more are under way at once than the broker says that it takes (Receive Maximum, 4.9); the others wait, in order.
Pure.
"""

from __future__ import annotations

from collections import deque
from typing import Literal

import msgspec
from mqtt5 import PublishPacket, QoS

CONTENT_TYPE = "application/openc2"
WAITING = 10_000  # messages that wait for the broker; beyond it publishing fails

Kind = Literal["req", "rsp", "ntf"]
_IDS = 1 << 16


class Outgoing(msgspec.Struct, frozen=True):
    """A message of OpenC2 in JSON."""

    topic: str
    payload: bytes
    kind: Kind
    expiry: int | None = None  # seconds after which the broker throws it away

    def packet(self, packet_id: int, duplicate: bool) -> bytes:
        """What travels (OpenC2 over MQTT 1.0, 3.2)."""
        return PublishPacket(
            self.topic,
            self.payload,
            qos=QoS.AT_LEAST_ONCE,
            packet_id=packet_id,
            duplicate=duplicate,
            payload_format_indicator=1,
            message_expiry_interval=self.expiry,
            content_type=CONTENT_TYPE,
            user_properties=[("msgType", self.kind), ("encoding", "json")],
        ).write()


class Outbox:
    """Gives the bytes that are to be written now."""

    def __init__(self) -> None:
        self._waiting: deque[Outgoing] = deque()
        self._under_way: dict[int, Outgoing] = {}  # by packet id, in the order sent
        self._window = 0  # none before the broker was asked
        self._last = 0

    def put(self, message: Outgoing) -> bytes:
        """One more message. Raises BufferError if too many wait."""
        if len(self._waiting) >= WAITING:
            raise BufferError(f"{WAITING} messages wait for the broker")
        self._waiting.append(message)
        return self._next()

    def acknowledge(self, packet_id: int) -> bytes:
        """The broker has one; whether it wanted it or not, it is told no more of it."""
        self._under_way.pop(packet_id, None)
        return self._next()

    def resume(self, session_present: bool, window: int) -> bytes:
        """A connection stands. What the broker never acknowledged goes again, unless it forgot whose it was."""
        self._window = window
        if not session_present:
            self._under_way.clear()
        again = [message.packet(number, duplicate=True) for number, message in self._under_way.items()]
        return b"".join(again) + self._next()

    def pause(self) -> None:
        """The connection is lost: what comes waits."""
        self._window = 0

    def _next(self) -> bytes:
        sent = b""
        while self._waiting and len(self._under_way) < self._window:
            message = self._waiting.popleft()
            number = self._number()
            self._under_way[number] = message
            sent += message.packet(number, duplicate=False)
        return sent

    def _number(self) -> int:
        while True:
            self._last = self._last % (_IDS - 1) + 1
            if self._last not in self._under_way:
                return self._last
