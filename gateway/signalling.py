"""Carries out what the SOC's policy makes of a security event: first what stops, then all of it on record."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, Final

import structlog
from prometheus_client import Counter

from defense_lines import Cut, Ledger, Revocation, Risk
from gateway.devices import Devices, Posture
from gateway.identity import principal_id
from gateway.rejudging import Rejudging
from gateway.revocations import Revocations
from gateway.risk import Risks
from gateway.sessions import Session, Sessions
from gateway.signals import CAEP, LOGOUT, SecurityEvent, SubjectId
from policy import Named, Pdp, RevocationOrder, RiskChange, Signalled

_EVENTS = Counter("portcullis_gateway_signals_carried_out_total", "Security events carried out", ["type"])
_BY: Final = "policy:portcullis/signals"
_SHOWN: Final = 1_000  # principals that policy is told of: an event about more touches them all the same
_log = structlog.get_logger()


class SignalUnsettled(Exception):
    """What an event asks for is not known, or not on record: it must come again."""


class Signalling:
    """`receive` returns once what it did is durable. To do it twice is to do it once. `issuers`: those whose people
    have ids here.
    """

    def __init__(
        self,
        pdp: Pdp,
        sessions: Sessions,
        rejudging: Rejudging,
        revocations: Revocations,
        risks: Risks,
        devices: Devices,
        ledger: Ledger,
        issuers: Collection[str],
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pdp = pdp
        self._sessions = sessions
        self._rejudging = rejudging
        self._revocations = revocations
        self._risks = risks
        self._devices = devices
        self._ledger = ledger
        self._issuers = issuers
        self._clock = clock
        self._monotonic = monotonic

    async def receive(self, events: Sequence[SecurityEvent]) -> None:
        """Carry out all of these. Raises SignalUnsettled; what could be done at once is done all the same."""
        arrived = self._monotonic()
        for event in events:
            await self._one(event, arrived)

    async def _one(self, event: SecurityEvent, arrived: float) -> None:
        now, name = self._clock(), short(event.type)
        principals = {one.request.principal.id for one in self._whom(event)} | self._named(event)
        order = await self._pdp.signalled(told(event), sorted(principals)[:_SHOWN], now)
        if order.failed:
            raise SignalUnsettled("policy did not say what to do about the event")
        _EVENTS.labels(name).inc()
        records = self._at_once(order, name, now, arrived)
        try:
            await asyncio.gather(*map(self._ledger.append, records))
        except Exception as error:
            raise SignalUnsettled(f"carried out, and not on record: {error}") from error
        _log.info("security event carried out", type=name, issuer=event.issuer, jti=event.jti, why=order.why)

    def _at_once(self, order: Signalled, name: str, now: float, arrived: float) -> list[Cut | Revocation | Risk]:
        """Nothing is awaited here: what must stop stops before anything else."""
        revocations = [self._revoke(each, name, now) for each in order.revocations]
        risks = [self._raise(change, now) for change in order.risks]
        for device in order.devices:
            if self._devices.learn(device.id, Posture(device.compliant, now)):
                self._rejudging.device(device.id)
        cuts = [self._cut(named, name, arrived) for named in order.cuts]
        touched = [one for named in order.again for one in self._sessions.find(named.kind, named.value)]
        touched += [one for each in order.revocations for one in self._sessions.find(each.kind, each.value)]
        self._rejudging.again(touched, name, arrived)
        return [*(cut for cut in cuts if cut.sessions), *revocations, *risks]

    def _revoke(self, order: RevocationOrder, name: str, now: float) -> Revocation:
        revocation = Revocation(
            kind=order.kind,
            value=order.value,
            before=order.before,
            until=now + order.ttl,
            reason=order.reason,
            by=_BY,
            signal=name,
        )
        self._revocations.put(revocation)
        return revocation

    def _raise(self, change: RiskChange, now: float) -> Risk:
        risk = self._risks.change(change, _BY, change.reason, now)
        self._rejudging.risk(change.principal)
        return risk

    def _cut(self, named: Named, name: str, arrived: float) -> Cut:
        found = self._sessions.find(named.kind, named.value)
        ended = self._sessions.cut(found, name.replace("-", "_"), name, arrived)
        return Cut(kind=named.kind, value=named.value, sessions=ended, by=_BY, reason=name)

    def _named(self, event: SecurityEvent) -> set[str]:
        """People by the ids that they have here, whether they stream or not."""
        names = [name for names in event.subject.members.values() for name in names]
        return {
            identifier
            for name in names
            if name.format == "iss_sub" and name.issuer in self._issuers
            if (identifier := principal_id(name.value, "person")) is not None
        }

    def _whom(self, event: SecurityEvent) -> Iterator[Session]:
        """Live sessions that some name of the subject fits."""
        for names in event.subject.members.values():
            for name in names:
                for kind, value in indexes(name):
                    yield from self._sessions.find(kind, value)


def indexes(name: SubjectId) -> Iterator[tuple[str, str]]:
    """By what sessions of a subject are found."""
    if name.format == "iss_sub":
        yield "subject", f"{name.issuer} {name.value}"
    elif name.format == "jwt_id":
        yield "token", f"{name.issuer} {name.value}"
    elif name.format == "email":
        yield "email", name.value
    elif name.format == "ip-addresses":
        yield "address", name.value
    elif name.format == "uri":
        yield "principal", f"workload:{name.value}"
    elif name.format == "opaque":
        yield "principal", name.value
        yield "login", f"{name.issuer} {name.value}"
        yield "device", name.value


def short(uri: str) -> str:
    """The short name of an event's type: CAEP's own, "logout", or the URI."""
    return "logout" if uri == LOGOUT else uri.removeprefix(CAEP)


def told(event: SecurityEvent) -> Mapping[str, Any]:
    """What policy sees of an event (`signals-input` schema)."""
    subject = {
        member: [{"format": name.format, "issuer": name.issuer, "value": name.value} for name in names]
        for member, names in event.subject.members.items()
    }
    return {
        "type": short(event.type),
        "uri": event.type,
        "issuer": event.issuer,
        "jti": event.jti,
        "issued": event.issued,
        "txn": event.txn,
        "claims": event.claims,
        "subject": subject,
    }
