"""Telemetry of a bank with 200,000 subjects, as sources hand it over: columns, one batch a source.

Of a hundred events 48 are requests, 44 flows, 5 questions for names, 1 an alert, 1 a report of an endpoint, and 1 is an
attacker's: an agent that reads other people's accounts, a scanner, somebody who tries stolen passwords. Honest traffic
comes from a stock that is played again and again with the time of the day; what attackers do is new each time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from telemetry import EventBatch, Kind, Words

SUBJECTS = 200_000
ATTACKERS = 600
_SHARES = {"requests": 0.48, "flows": 0.44, "names": 0.05, "alerts": 0.01, "reports": 0.01}
_ATTACKS = 0.01
_STOCK = 12  # batches of each kind that are played again
_ALARMS = 20
_OWN = 5  # things that are a subject's own
Codes = NDArray[np.int64]


class Traffic:
    """Batches of about `rows` events in all, for the time from `start` to `start + seconds`."""

    def __init__(self, seed: int, rows: int) -> None:
        self._rng = np.random.default_rng(seed)
        self._rows = rows
        makers = {
            "requests": self._requests,
            "flows": self._flows,
            "names": self._names,
            "alerts": self._alerts,
            "reports": self._reports,
        }
        self._stock = [[makers[kind](int(rows * share)) for kind, share in _SHARES.items()] for _ in range(_STOCK)]
        self._played = 0

    def batches(self, start: float, seconds: float) -> list[EventBatch]:
        """The next ones, a batch a source."""
        honest = self._stock[self._played % _STOCK]
        self._played += 1
        attacks = self._attacks(int(self._rows * _ATTACKS))
        return [replace(batch, time=start + batch.time * seconds) for batch in (*honest, *attacks)]

    def alarm(self, start: float, seconds: float, number: int) -> EventBatch:
        """A few alerts of the highest severity, each about an address of its own."""
        batch = _batch(
            self._rng,
            Kind.ALERT,
            "eve:branch-2",
            _ALARMS,
            address=_words(np.arange(_ALARMS) + number * _ALARMS, _address(45)),
            name=Words.same("ET EXPLOIT Apache HTTP Server 2.4.49 - Path Traversal Attempt", _ALARMS),
            severity=np.full(_ALARMS, 4, np.uint8),
        )
        return replace(batch, time=start + batch.time * seconds)

    def _who(self, count: int) -> Codes:
        return self._rng.integers(0, SUBJECTS, count)

    def _requests(self, count: int) -> EventBatch:
        who = self._who(count)
        account = who * _OWN + self._rng.integers(0, _OWN, count)
        failed = self._rng.random(count)
        status = np.select([failed < 0.004, failed < 0.012], [403, 404], 200)
        names = _words(who, "person:p{}".format)
        return _batch(
            self._rng,
            Kind.REQUEST,
            "edge",
            count,
            subject=names,
            actor=names,
            address=_words(who, _address(10)),
            session=_words(who, "s-{}".format),
            service=Words.same("accounts", count),
            resource=_words(account, "/accounts/{}".format),
            action=Words.same("GET", count),
            outcome=_words((status == 403).astype(np.int64), ("allow", "deny").__getitem__),
            status=status.astype(np.int16),
            bytes_in=self._rng.integers(200, 900, count),
            bytes_out=self._rng.integers(300, 9000, count),
        )

    def _flows(self, count: int) -> EventBatch:
        who = self._who(count)
        peer = (who * 7 + self._rng.integers(0, _OWN, count)) % 4096
        failed = self._rng.random(count) < 0.01
        return _batch(
            self._rng,
            Kind.FLOW,
            "zeek:branch-1",
            count,
            address=_words(who, _address(11)),
            peer=_words(peer, _address(172)),
            service=Words.same("ssl", count),
            action=Words.same("tcp", count),
            outcome=_words(failed.astype(np.int64), ("SF", "S0").__getitem__),
            port=np.where(peer % 3, 443, 8443).astype(np.int32),
            bytes_in=self._rng.integers(100, 5000, count) * ~failed,
            bytes_out=self._rng.integers(100, 90_000, count) * ~failed,
            duration=self._rng.exponential(1.0, count),
        )

    def _names(self, count: int) -> EventBatch:
        who, name = self._who(count), self._rng.zipf(1.3, count) % 20_000
        return _batch(
            self._rng,
            Kind.DNS,
            "zeek:branch-1",
            count,
            address=_words(who, _address(11)),
            resource=_words(name, "service{}.bank.example".format),
            action=Words.same("A", count),
            outcome=Words.same("NOERROR", count),
            port=np.full(count, 53, np.int32),
        )

    def _alerts(self, count: int) -> EventBatch:
        return _batch(
            self._rng,
            Kind.ALERT,
            "eve:branch-2",
            count,
            address=_words(self._who(count), _address(11)),
            name=Words.same("ET INFO Session Traversal Utilities for NAT", count),
            severity=np.full(count, 1, np.uint8),
        )

    def _reports(self, count: int) -> EventBatch:
        who = self._who(count)
        return _batch(
            self._rng,
            Kind.ENDPOINT,
            "windows:branch-1",
            count,
            peer=_words(who, "host{}.bank.example".format),
            action=Words.same("process_create", count),
            resource=_words(self._rng.integers(0, 400, count), "C:\\Program Files\\App{}\\app.exe".format),
        )

    def _attacks(self, count: int) -> list[EventBatch]:
        third = max(1, count // 3)
        who = self._rng.integers(0, ATTACKERS // 3, third)
        accounts = self._rng.integers(0, 90_000_000, third)
        denied = {"outcome": Words.same("deny", third), "service": Words.same("accounts", third)}
        agents, strangers = _words(who, "agent:taken{}".format), _words(who, _address(203))
        return [
            _batch(
                self._rng, Kind.REQUEST, "edge", third, subject=_words(who, "person:victim{}".format), actor=agents,
                address=strangers, session=_words(who, "s-taken{}".format), action=Words.same("GET", third),
                resource=_words(accounts, "/accounts/{}".format), status=np.full(third, 403, np.int16), **denied,
            ),
            _batch(
                self._rng, Kind.REQUEST, "edge", third, address=_words(who, _address(198)),
                action=Words.same("POST", third), resource=Words.same("/login", third),
                status=np.full(third, 401, np.int16), **denied,
            ),
            _batch(
                self._rng, Kind.FLOW, "zeek:branch-1", third, address=_words(who, _address(192)),
                peer=_words(accounts % 60_000, _address(172)), action=Words.same("tcp", third),
                outcome=Words.same("S0", third), port=(accounts % 65_000 + 1).astype(np.int32),
            ),
        ]  # fmt: skip


def is_attacker(subject: str) -> bool:
    """Whether a verdict's subject is one of the attackers."""
    return subject.startswith(("agent:taken", "203.", "198.", "192."))


def _words(codes: Codes, name: Callable[[int], str]) -> Words:
    used, places = np.unique(codes, return_inverse=True)
    return Words(places.astype(np.int32), [name(code) for code in used.tolist()])


def _address(first: int) -> Callable[[int], str]:
    return lambda code: f"{first}.{code >> 16 & 255}.{code >> 8 & 255}.{code & 255}"


def _batch(rng: np.random.Generator, kind: Kind, source: str, count: int, **columns: object) -> EventBatch:
    """Columns not given are empty or 0; times are shares of the stretch, in order."""
    empty = {name: Words.same("", count) for name in _TEXTS}
    zeros = {name: np.zeros(count, dtype) for name, dtype in _NUMBERS.items()}
    common = {
        "time": np.sort(rng.random(count)),
        "kind": np.full(count, kind, np.uint8),
        "source": Words.same(source, count),
    }
    return EventBatch(**{**empty, **zeros, **common, **columns})  # type: ignore[arg-type]


_TEXTS = (
    "subject", "actor", "session", "address", "peer", "service", "resource", "action", "outcome", "name",
)  # fmt: skip
_NUMBERS = {
    "status": np.int16,
    "port": np.int32,
    "severity": np.uint8,
    "bytes_in": np.int64,
    "bytes_out": np.int64,
    "duration": np.float64,
}
