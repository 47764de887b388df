"""The live sessions, indexed by everyone in their chain, so that a cut costs what it cuts and not what is connected."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Iterator

from prometheus_client import Counter, Gauge

from gateway.sessions.session import Index, Session

_LIVE = Gauge("portcullis_gateway_sessions_live", "Live streams tethered to this gateway")
_CUT = Counter("portcullis_gateway_sessions_cut_total", "Live streams ended by us", ["signal"])


class Sessions:
    """The registry. Purely in memory; a session that ends by itself is closed by whoever opened it."""

    def __init__(self) -> None:
        self._by: dict[Index, dict[str, Session]] = {}
        self._live: dict[str, Session] = {}

    def __len__(self) -> int:
        return len(self._live)

    def __iter__(self) -> Iterator[Session]:
        return iter(tuple(self._live.values()))

    def open(self, session: Session) -> None:
        """Register a stream that has just been allowed."""
        self._live[session.id] = session
        for index in session.indexes():
            self._by.setdefault(index, {})[session.id] = session
        _LIVE.set(len(self._live))

    def close(self, session: Session) -> bool:
        """Forget a stream; false if it was not registered any more."""
        if self._live.pop(session.id, None) is None:
            return False
        for index in session.indexes():
            entries = self._by[index]
            del entries[session.id]
            if not entries:
                del self._by[index]
        _LIVE.set(len(self._live))
        return True

    def find(self, kind: str, value: str) -> tuple[Session, ...]:
        """Sessions under an index: principal, actor, session, address, or a range of addresses."""
        if kind == "range":
            return tuple(self._within(value))
        return tuple(self._by.get((kind, value), {}).values())

    def cut(self, sessions: Iterable[Session], reason: str, signal: str) -> int:
        """End each of these at once; `signal` names what asked for it, for the metric. Returns how many ended."""
        ended = [session for session in sessions if self.close(session)]
        for session in ended:
            session.end(reason)
        _CUT.labels(signal).inc(len(ended))
        return len(ended)

    def recheck(self, sessions: Iterable[Session], refused: Callable[[Session], str], signal: str) -> int:
        """Judge each again; `refused` answers the reason to end it, or nothing. Returns how many ended."""
        return sum(self.cut([session], reason, signal) for session in sessions if (reason := refused(session)))

    def _within(self, value: str) -> Iterator[Session]:
        network = ipaddress.ip_network(value)
        for kind, address in tuple(self._by):
            if kind == "address" and ipaddress.ip_address(address) in network:
                yield from self._by[kind, address].values()
