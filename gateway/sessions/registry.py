"""The live sessions, indexed by all that a signal may name: a cut costs what it cuts and not what is connected."""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Callable, Iterable, Iterator

from prometheus_client import Counter, Gauge, Histogram

from gateway.sessions.cut import Cut
from gateway.sessions.deadlines import Deadlines
from gateway.sessions.paths import Paths
from gateway.sessions.session import Index, Session
from policy import ReadPath

_LIVE = Gauge("portcullis_gateway_sessions_live", "Live streams tethered to this gateway")
_CUT = Counter("portcullis_gateway_sessions_cut_total", "Live streams ended by us", ["signal"])
_SECONDS = Histogram(
    "portcullis_gateway_session_cut_seconds",
    "From the arrival of a signal until a stream is reset",
    buckets=(0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1, 5),
)

Witness = Callable[[Session, Cut, float], None]


class Sessions:
    """The registry. Purely in memory; a session that ends by itself is closed by whoever opened it. `witness` hears of
    each session that was cut, of the cut, and of the seconds from the signal to the stream's reset.
    """

    def __init__(
        self,
        witness: Witness = lambda session, cut, seconds: None,
        monotonic: Callable[[], float] = time.monotonic,
        oldest: float = 300.0,
        oldest_by_clock: float = 5.0,
    ) -> None:
        """`oldest` and `oldest_by_clock` as in `Deadlines`, in seconds."""
        self.epoch = 0  # grows with each signal: what was judged before one, and opened after it, is judged again
        self._by: dict[Index, dict[str, Session]] = {}
        self._live: dict[str, Session] = {}
        self._paths = Paths()
        self._deadlines = Deadlines(oldest, oldest_by_clock)
        _LIVE.set_function(self._live.__len__)  # looked at when it is asked for: setting it costs each session 1 µs
        self._witness = witness
        self._monotonic = monotonic

    def __len__(self) -> int:
        return len(self._live)

    def __iter__(self) -> Iterator[Session]:
        return iter(tuple(self._live.values()))

    def __contains__(self, session: Session) -> bool:
        return self._live.get(session.id) is session

    def open(self, session: Session) -> None:
        """Register a stream that has just been allowed."""
        self._live[session.id] = session
        for index in session.indexes():
            self._by.setdefault(index, {})[session.id] = session
        self._read(session)
        self._deadlines.add(session, self._live)

    def close(self, session: Session) -> bool:
        """Forget a stream; false if it was not registered any more."""
        if self._live.pop(session.id, None) is None:
            return False
        for index in session.indexes():
            entries = self._by[index]
            del entries[session.id]
            if not entries:
                del self._by[index]
        self._paths.discard(session, _data(session))
        return True

    def judged(self, session: Session) -> None:
        """A live session has another decision, which may have read elsewhere, and counts from now."""
        self._paths.discard(session, _data(session))
        self._read(session)
        self._deadlines.add(session, self._live)

    def due(self, now: float) -> tuple[Session, ...]:
        """Sessions to look at again at `now` (Unix seconds), each once, until they are `judged` again."""
        return tuple({session.id: session for session in self._deadlines.due(now, self._live)}.values())

    def find(self, kind: str, value: str) -> tuple[Session, ...]:
        """Sessions under an index (`Session.indexes`), or within a range of addresses, or of a policy revision."""
        if kind == "range":
            return tuple(self._within(value))
        if kind == "revision":
            return tuple(session for session in self._live.values() if session.decision.revision == value)
        return tuple(self._by.get((kind, value), {}).values())

    def read(self, path: ReadPath) -> tuple[Session, ...]:
        """Sessions whose decision read at, above or below a path of data."""
        return tuple({session.id: session for session in self._paths.touched(path)}.values())

    def cut(self, sessions: Iterable[Session], reason: str, signal: str, arrived: float | None = None) -> int:
        """End each of these at once; `signal` names what asked for it, `arrived` when that came (monotonic seconds;
        now, if not given). Returns how many ended.
        """
        cut = Cut.because(reason, signal, self._monotonic() if arrived is None else arrived)
        ended = 0
        for session in sessions:
            if self.close(session):
                session.end(cut)
                ended += 1
                seconds = self._monotonic() - cut.arrived
                _SECONDS.observe(seconds)
                self._witness(session, cut, seconds)
        _CUT.labels(signal).inc(ended)
        return ended

    def _read(self, session: Session) -> None:
        session.depends = session.decision.depends
        self._paths.add(session, _data(session))

    def _within(self, value: str) -> Iterator[Session]:
        network = ipaddress.ip_network(value)
        for kind, address in tuple(self._by):
            if kind == "address" and ipaddress.ip_address(address) in network:
                yield from self._by[kind, address].values()


def _data(session: Session) -> list[ReadPath]:
    """What a decision read of data. What it read of its own input changes for this session alone."""
    return [path for path in session.depends if path[0] == "data"]
