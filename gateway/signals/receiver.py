"""Receives security event tokens, however they come: verified, delivered once, then acknowledged."""

from __future__ import annotations

import hmac
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Final, Literal

from prometheus_client import Counter

from gateway.config import Signals
from gateway.identity import KeySet, UnknownKey
from gateway.identity.replay import ReplayStore
from gateway.signals.deliveries import ROUNDING, Deliver, Deliveries, Unavailable
from gateway.signals.event import STREAM_TYPES, SecurityEvent, short_name
from gateway.signals.security_event_token import (
    SecurityEventToken,
    SetError,
    Trust,
    Unverified,
    read_unverified,
    verify,
)

_TOKENS = Counter("portcullis_gateway_security_event_tokens_total", "Security event tokens", ["issuer", "result"])
_EVENTS = Counter("portcullis_gateway_security_events_total", "Security events accepted", ["issuer", "type"])
_NO_KEY: Final = SetError("invalid_key", "the transmitter has no such key")

Outcome = Literal["accepted", "repeated"] | SetError
Fetch = Callable[[str], Awaitable[None]]  # an issuer's keys, once for many askers
# Takes what is said of the stream itself; False for the answer to a question that was not asked.
Notice = Callable[[SecurityEvent], bool]


class Receiver:
    """Receives for all transmitters. Keys are put in. `push_tokens`: by issuer, what who pushes must show."""

    def __init__(
        self,
        settings: Signals,
        push_tokens: Mapping[str, str],
        fetch: Fetch,
        deliver: Deliver,
        secret: bytes,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`secret`: 16 to 64 random bytes."""
        self._trusted = {one.issuer: Trust(one, KeySet()) for one in settings.transmitters}
        self._push_tokens = push_tokens
        self._fetch = fetch
        self._clock = clock
        self._notices: dict[str, Notice] = {}
        self._deliveries = {
            one.issuer: Deliveries(
                ReplayStore(
                    f"events:{one.issuer}",
                    settings.replay_entries,
                    one.max_age_seconds + 2 * (one.leeway_seconds + ROUNDING),
                    secret,
                ),
                deliver,
            )
            for one in settings.transmitters
        }

    def put_keys(self, issuer: str, keys: KeySet) -> None:
        """Replace a transmitter's keys."""
        self._trusted[issuer] = replace(self._trusted[issuer], keys=keys)

    def put_critical(self, issuer: str, members: Collection[str]) -> None:
        """Replace the members of a subject that a transmitter calls critical."""
        self._trusted[issuer] = replace(self._trusted[issuer], critical=frozenset(members))

    def put_notice(self, issuer: str, notice: Notice) -> None:
        """Who takes what a transmitter says of our stream itself. Without one it is acknowledged."""
        self._notices[issuer] = notice

    async def pushed(self, token: str, authorization: str) -> Outcome:
        """Receive what came with an Authorization header ("" without one). Raises Unavailable."""
        read = read_unverified(token)
        if isinstance(read, Unverified):
            return await self._counted(read, self._may_push(read.issuer, authorization))
        return self._refused("", read)

    async def polled(self, token: str, issuer: str, jti: str) -> Outcome:
        """Receive what a transmitter has given us under this id. Raises Unavailable."""
        read = read_unverified(token)
        if isinstance(read, SetError):
            return self._refused(issuer, read)
        wrong = None
        if read.issuer != issuer:
            wrong = SetError("invalid_issuer", "not of the transmitter that was asked")
        elif read.said.get("jti") != jti:
            wrong = SetError("invalid_request", "jti is not the one under which it came")
        return await self._counted(read, wrong)

    def _may_push(self, issuer: str, authorization: str) -> SetError | None:
        trust = self._trusted.get(issuer)
        if trust is None:
            return SetError("invalid_issuer", "the issuer is not trusted")
        if trust.settings.delivery == "poll":
            return SetError("access_denied", "this transmitter is polled")
        expected = self._push_tokens.get(issuer)
        shown = authorization.encode("utf-8", "surrogatepass")
        if expected is not None and not hmac.compare_digest(shown, f"Bearer {expected}".encode()):
            return SetError("authentication_failed", "the Authorization header is not the one agreed upon", 401)
        return None

    async def _counted(self, token: Unverified, wrong: SetError | None) -> Outcome:
        known = token.issuer if token.issuer in self._trusted else ""
        if wrong is not None:
            return self._refused(known, wrong)
        try:
            outcome = await self._received(token)
        except Unavailable:
            _TOKENS.labels(known, "unavailable").inc()
            raise
        if isinstance(outcome, SetError):
            return self._refused(known, outcome)
        _TOKENS.labels(known, outcome).inc()
        return outcome

    def _refused(self, issuer: str, error: SetError) -> SetError:
        _TOKENS.labels(issuer, error.err).inc()
        return error

    async def _received(self, token: Unverified) -> Outcome:
        verified = await self._verified(token)
        if isinstance(verified, SetError):
            return verified
        for event in verified.events:
            if event.type in STREAM_TYPES and not self._noticed(event):
                return SetError("invalid_state", "state is not the one that was sent")
        told = [event for event in verified.events if event.type not in STREAM_TYPES]
        new = await self._deliver(verified, told) if told else True
        if new:
            _count(verified)
        return "accepted" if new else "repeated"

    async def _verified(self, token: Unverified) -> SecurityEventToken | SetError:
        answer = verify(token, self._trusted[token.issuer], self._clock())
        if isinstance(answer, UnknownKey):
            await self._fetch(token.issuer)
            answer = verify(token, self._trusted[token.issuer], self._clock())
        if not isinstance(answer, UnknownKey):
            return answer
        if self._trusted[token.issuer].keys.missing:
            raise Unavailable("the transmitter's keys cannot be fetched")
        return _NO_KEY

    def _noticed(self, event: SecurityEvent) -> bool:
        notice = self._notices.get(event.issuer)
        return notice is None or notice(event)

    async def _deliver(self, token: SecurityEventToken, events: Sequence[SecurityEvent]) -> bool:
        deliveries = self._deliveries[token.issuer]
        return await deliveries.once(token.jti.encode("utf-8"), token.until, self._clock(), events)


def _count(token: SecurityEventToken) -> None:
    for event in token.events:
        _EVENTS.labels(token.issuer, short_name(event.type)).inc()
    if token.unknown:
        _EVENTS.labels(token.issuer, "unknown").inc(token.unknown)
