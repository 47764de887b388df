"""Receives logout tokens: verified, delivered once, then acknowledged."""

from __future__ import annotations

import time
from collections.abc import Callable

from prometheus_client import Counter

from gateway.config import Config
from gateway.identity import KeySet, UnknownKey
from gateway.identity.replay import ReplayStore
from gateway.signals.deliveries import ROUNDING, Deliver, Deliveries, Unavailable
from gateway.signals.logout_token import (
    LONGEST_LIFE,
    LogoutError,
    LogoutToken,
    Sender,
    read_logout_token,
    verify_logout,
)
from gateway.signals.receiver import Fetch
from gateway.signals.security_event_token import Unverified

_TOKENS = Counter("portcullis_gateway_logout_tokens_total", "Logout tokens", ["issuer", "result"])


class Logouts:
    """Receives logout tokens of all senders. `keys` are an issuer's keys as they are known, `fetch` renews them."""

    def __init__(
        self,
        config: Config,
        keys: Callable[[str], KeySet],
        fetch: Fetch,
        deliver: Deliver,
        secret: bytes,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`secret`: 16 to 64 random bytes."""
        issuers = {issuer.issuer: issuer for issuer in config.identity.issuers}
        self._senders = {one.issuer: Sender(issuers[one.issuer], one) for one in config.signals.logout}
        self._keys = keys
        self._fetch = fetch
        self._clock = clock
        self._deliveries = {
            name: Deliveries(_store(sender, config.signals.replay_entries, secret), deliver)
            for name, sender in self._senders.items()
        }

    async def receive(self, token: str) -> LogoutError | None:
        """None once the logout is durable. A failure of ours is an error, too (section 2.8), and the token may be
        shown again.
        """
        read = read_logout_token(token)
        if isinstance(read, LogoutError):
            return _counted("", "refused", read)
        sender = self._senders.get(read.issuer)
        if sender is None:
            return _counted("", "refused", LogoutError("the issuer is not trusted"))
        try:
            error = await self._received(read, sender)
        except Unavailable as reason:
            return _counted(read.issuer, "unavailable", LogoutError(f"try again later: {reason}"))
        return _counted(read.issuer, "refused" if error else "accepted", error)

    async def _received(self, read: Unverified, sender: Sender) -> LogoutError | None:
        verified = await self._verified(read, sender)
        if isinstance(verified, LogoutError):
            return verified
        deliveries, key = self._deliveries[read.issuer], verified.event.jti.encode()
        new = await deliveries.once(key, verified.until, self._clock(), [verified.event])
        return None if new else LogoutError("it was shown before")

    async def _verified(self, read: Unverified, sender: Sender) -> LogoutToken | LogoutError:
        answer = verify_logout(read, sender, self._keys(read.issuer), self._clock())
        if isinstance(answer, UnknownKey):
            await self._fetch(read.issuer)
            answer = verify_logout(read, sender, self._keys(read.issuer), self._clock())
        return LogoutError("the issuer has no such key") if isinstance(answer, UnknownKey) else answer


def _counted(issuer: str, result: str, error: LogoutError | None) -> LogoutError | None:
    _TOKENS.labels(issuer, result).inc()
    return error


def _store(sender: Sender, entries: int, secret: bytes) -> ReplayStore:
    longest = LONGEST_LIFE + 2 * (sender.issuer.leeway_seconds + ROUNDING)
    return ReplayStore(f"logout:{sender.issuer.issuer}", entries, longest, secret)
