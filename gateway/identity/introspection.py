"""Opaque tokens, which only their issuer can read: it is asked (RFC 7662), and its answer counts for a short while."""

from __future__ import annotations

import asyncio
import hashlib
import re
import time
from base64 import b64encode
from collections.abc import Callable, Collection
from typing import Any, Final
from urllib.parse import quote_plus

import aiohttp
import msgspec
import structlog
from prometheus_client import Counter

from gateway.config import Introspection, Issuer
from gateway.identity.access_token import other_use
from gateway.identity.claims import principal_of
from gateway.identity.discovery import Discovery
from gateway.identity.http_json import Unreachable, ask_json
from gateway.identity.refusal import Refusal
from policy import Principal

_log = structlog.get_logger()
_ASKED = Counter("portcullis_gateway_introspections_total", "Questions about opaque tokens", ["issuer", "result"])
_TOKEN: Final = re.compile(r"[A-Za-z0-9._~+/-]{1,4096}=*\Z")  # RFC 6750 section 2.1
_LARGEST: Final = 1 << 16  # bytes of an answer
_ANSWERS: Final = 20_000  # remembered of each kind
_MOST: Final = 1_000  # tokens asked about, and waiting to be, at the same time
_AWAY: Final = 1.0  # seconds for which a failure is the answer about its token
_PATIENCE: Final = 0.8  # seconds that a request waits, less than the edge waits for an answer

Answer = Principal | Refusal


def answered(
    said: dict[str, Any],
    issuer: Issuer,
    settings: Introspection,
    audiences: Collection[str],
    longest_chain: int,
    now: float,
) -> Answer:
    """The principal in an answer (RFC 7662 section 2.2) at `now` (Unix seconds). The answer is the proof, so the
    principal ends with it: with the token, and after the time for which answers count.
    """
    if said.get("active") is not True:
        return Refusal("invalid_token", "the issuer says that the token is not active")
    kind, bound = str(said.get("token_type", "bearer")).lower(), said.get("cnf")
    if kind not in ("bearer", "dpop"):
        return Refusal("invalid_token", "the issuer says that it is no access token")
    if kind == "dpop" and not (isinstance(bound, dict) and "jkt" in bound):
        return Refusal("invalid_token", "the issuer says that the token is bound to a key, and not to which")
    wrong = other_use(said)
    if wrong:
        return Refusal("invalid_token", wrong)
    end = now + settings.cache_seconds
    claims = {"iss": issuer.issuer, "exp": end} | said  # both may be left out
    principal = principal_of(_less(claims, ("active", "token_type")), issuer, audiences, longest_chain, now)
    if isinstance(principal, Refusal):
        return principal
    end = min(end, principal.expires - issuer.leeway_seconds)
    return msgspec.structs.replace(principal, expires=end) if now < end else Refusal("invalid_token", "expired")


class Answers:
    """Answers about tokens, each until its time. The oldest is forgotten for a new one; tokens are kept as digests."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._answers: dict[bytes, tuple[float, Answer]] = {}

    def get(self, digest: bytes, now: float) -> Answer | None:
        """The answer that counts at `now`."""
        until, answer = self._answers.get(digest, (now, None))
        if now < until:
            return answer
        self._answers.pop(digest, None)
        return None

    def put(self, digest: bytes, answer: Answer, until: float) -> None:
        """Remember an answer until a time (Unix seconds)."""
        self._answers.pop(digest, None)
        if len(self._answers) >= self._most:
            del self._answers[next(iter(self._answers))]
        self._answers[digest] = (until, answer)


class Introspector:
    """Asks one issuer about its tokens: once for all who show the same, and about few at the same time."""

    def __init__(
        self,
        issuer: Issuer,
        settings: Introspection,
        session: aiohttp.ClientSession,
        discovery: Discovery,
        audiences: Collection[str],
        longest_chain: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._issuer = issuer
        self._settings = settings
        self._session = session
        self._discovery = discovery
        self._audiences = audiences
        self._longest_chain = longest_chain
        self._clock = clock
        # Apart, so that invented tokens push no good one out.
        self._accepted, self._refused = Answers(_ANSWERS), Answers(_ANSWERS)
        self._asking: dict[bytes, asyncio.Task[Answer]] = {}
        self._turns = asyncio.Semaphore(settings.max_requests)
        self._quiet = 0.0  # loop time until which failures are counted and not logged

    def put_audiences(self, audiences: Collection[str]) -> None:
        """Replace what tokens must be meant for; it counts for answers from now on."""
        self._audiences = audiences

    def known(self, token: str, now: float) -> Answer | None:
        """The answer that still counts at `now` (Unix seconds); None if the issuer must be asked."""
        if _TOKEN.match(token) is None:
            return Refusal("invalid_token", "not a token")
        digest = _digest(token)
        return self._accepted.get(digest, now) or self._refused.get(digest, now)

    async def ask(self, token: str) -> Answer:
        """Who a token speaks for. Answers in less than a second, come what may; the issuer's answer, if it comes later,
        counts for who asks then.
        """
        known = self.known(token, self._clock())
        if known is not None:
            return known
        digest = _digest(token)
        if digest not in self._asking:
            if len(self._asking) >= _MOST:
                return Refusal("invalid_token", "too many opaque tokens to ask about")
            self._asking[digest] = asyncio.create_task(self._introspect(token, digest))
        try:
            return await asyncio.wait_for(asyncio.shield(self._asking[digest]), _PATIENCE)
        except TimeoutError:
            return Refusal("invalid_token", "the issuer does not answer about an opaque token in time")

    async def _introspect(self, token: str, digest: bytes) -> Answer:
        try:
            async with self._turns:
                said = await self._request(token)
        except (Unreachable, OSError, ValueError) as error:  # the last two: the secret cannot be read
            return self._failed(digest, str(error))
        finally:
            del self._asking[digest]
        now = self._clock()
        answer = answered(said, self._issuer, self._settings, self._audiences, self._longest_chain, now)
        if isinstance(answer, Principal):
            self._accepted.put(digest, answer, answer.expires)
            _ASKED.labels(self._issuer.issuer, "active").inc()
        else:
            _ASKED.labels(self._issuer.issuer, "refused").inc()
            self._refused.put(digest, answer, now + self._settings.refused_seconds)
        return answer

    def _failed(self, digest: bytes, why: str) -> Refusal:
        _ASKED.labels(self._issuer.issuer, "failed").inc()
        self._discovery.forget()
        now = asyncio.get_running_loop().time()
        if now >= self._quiet:
            self._quiet = now + 1
            _log.error("opaque tokens cannot be introspected", issuer=self._issuer.issuer, error=why)
        refusal = Refusal("invalid_token", f"issuer unreachable: {why}")
        self._refused.put(digest, refusal, self._clock() + _AWAY)
        return refusal

    async def _request(self, token: str) -> dict[str, Any]:
        url = self._settings.url or (await self._discovery.metadata()).introspection_endpoint
        if not url:
            raise Unreachable("metadata without introspection_endpoint")
        secret = await asyncio.to_thread(_secret, self._settings)  # each time: a file's secret may be rotated
        form = {"token": token, "token_type_hint": "access_token"}
        return await ask_json(self._session, url, _LARGEST, form, _basic(self._settings.client_id, secret))


def _secret(settings: Introspection) -> str:
    if settings.client_secret_file is not None:
        return settings.client_secret_file.read_text(encoding="utf-8").strip()
    return settings.client_secret.get_secret_value() if settings.client_secret else ""


def _basic(client: str, secret: str) -> str:
    """RFC 6749 section 2.3.1: both are form-encoded first."""
    return "Basic " + b64encode(f"{quote_plus(client)}:{quote_plus(secret)}".encode()).decode()


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _less(said: dict[str, Any], names: Collection[str]) -> dict[str, Any]:
    return {name: value for name, value in said.items() if name not in names}
