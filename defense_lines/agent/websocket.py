"""One connection over WebSocket (RFC 6455), as both ends of our protocol have it: whole binary messages, bounded.

By picows: its parser and masking are C, and a message costs no task and no copy that it need not.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from abc import abstractmethod
from collections.abc import Callable
from typing import Any, Final

from picows import WSAutoPingStrategy, WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport, WSUpgradeRequest
from picows.picows import WSProtocol  # type: ignore[attr-defined]  # public only through functions that take no socket

HANDSHAKE_SECONDS: Final = 5.0  # from the connection to the first message
_REASON: Final = 100  # characters; a control frame holds 125 bytes (section 5.5)
_READ_BUFFER: Final = 4096  # bytes at first; it grows with what comes
_SILENT: Final = logging.getLogger("picows.portcullis")
_SILENT.setLevel(logging.CRITICAL + 1)  # what matters is counted and said by us, once
_LOG: Final = logging.LoggerAdapter(_SILENT, {})  # of a Logger picows would make one more for each connection

Upgrade = Callable[[WSUpgradeRequest], Any]


class Messages(WSListener):
    """Hears whole binary messages; whatever else comes, ends the connection."""

    def __init__(self, largest: int) -> None:
        """`largest`: bytes of one message."""
        self._largest = largest
        self._parts = bytearray()
        self._in_parts = False
        self._ending = False
        self.transport: WSTransport | None = None
        self.fault = ""  # what the peer did wrong, in words

    @abstractmethod
    def received(self, message: bytes) -> None:
        """A message came."""

    @abstractmethod
    def opened(self) -> None:
        """Messages may be sent."""

    @abstractmethod
    def closed(self) -> None:
        """The connection is lost."""

    def send(self, message: bytes) -> None:
        """Send one message; without effect once the connection is closed."""
        if self.transport is not None:
            self.transport.send(WSMsgType.BINARY, message)

    def close(self, words: str = "", fault: bool = False) -> None:
        """End the connection, and say why; a fault is the peer's. What waits to be sent to it is lost."""
        if self.transport is None or self._ending:
            return
        self._ending, self.fault = True, words if fault else ""
        code = WSCloseCode.POLICY_VIOLATION if fault else WSCloseCode.GOING_AWAY
        self.transport.send_close(code, words[:_REASON].encode("ascii", "replace"))
        graceful = not self.transport.underlying_transport.get_write_buffer_size()
        self.transport.disconnect(graceful)

    def on_ws_connected(self, transport: WSTransport) -> None:
        """The handshake is done."""
        self.transport = transport
        self.opened()

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Put messages together; a proxy may cut them anew (RFC 6455, section 5.4)."""
        if self._ending:
            return
        kind = frame.msg_type
        if kind == WSMsgType.BINARY and frame.fin and not self._in_parts:
            self.received(frame.get_payload_as_bytes())
        elif kind == WSMsgType.CLOSE:
            transport.send_close(WSCloseCode.OK)
            transport.disconnect()
        elif kind != WSMsgType.PONG:
            self._part(frame)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """The connection is lost."""
        sent = transport.close_handshake and transport.close_handshake.sent
        if sent and sent.code in (WSCloseCode.PROTOCOL_ERROR, WSCloseCode.MESSAGE_TOO_BIG):
            self.fault = self.fault or sent.reason or "no WebSocket frame"
        self.transport = None
        self.closed()

    def pause_writing(self) -> None:
        """Nothing to do: what may be sent before an answer is bounded by the protocol."""

    def resume_writing(self) -> None:
        """Nothing to do."""

    def _part(self, frame: WSFrame) -> None:
        first = frame.msg_type == WSMsgType.BINARY
        if first == self._in_parts or frame.msg_type not in (WSMsgType.BINARY, WSMsgType.CONTINUATION):
            self.close("not a binary message", fault=True)
            return
        self._in_parts = True
        self._parts += frame.get_payload_as_bytes()
        if len(self._parts) > self._largest:
            self.close(f"a message of more than {self._largest} bytes", fault=True)
        elif frame.fin:
            message, self._parts, self._in_parts = bytes(self._parts), bytearray(), False
            self.received(message)


class Connection(WSProtocol):  # type: ignore[misc]
    """The protocol of one socket, a Unix socket among them."""

    def __init__(self, upgrade: Upgrade, largest: int, silent: float, client: tuple[str, str, dict[str, str]] | None):
        """`silent`: seconds after which a peer that says nothing is asked, and then cut. `client`: host, path and
        headers.
        """
        host, path, headers = client or (None, None, None)
        when_idle = WSAutoPingStrategy.PING_WHEN_IDLE
        super().__init__(
            host, path, client is not None, upgrade, _LOG, True, HANDSHAKE_SECONDS, True, silent, silent, when_idle,
            True, largest, headers, _READ_BUFFER,
        )  # fmt: skip

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """picows sets options of TCP on any socket."""
        local = transport.get_extra_info("socket").family == socket.AF_UNIX
        super().connection_made(_Local(transport) if local else transport)


class _Local:
    """A Unix socket's transport, on which options of TCP are without effect."""

    def __init__(self, transport: Any) -> None:
        self._transport = transport

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        found = self._transport.get_extra_info(name, default)
        return _LocalSocket(found) if name == "socket" else found


class _LocalSocket:
    def __init__(self, end: Any) -> None:
        self._end = end

    def fileno(self) -> int:
        return int(self._end.fileno())

    def setsockopt(self, level: int, *option: Any) -> None:
        if level != socket.IPPROTO_TCP:
            self._end.setsockopt(level, *option)

    def getsockopt(self, level: int, *option: Any) -> Any:
        return 0 if level == socket.IPPROTO_TCP else self._end.getsockopt(level, *option)
