"""The judge: from an attempt to an answer. Identify, look for blocks, ask the PDP; whatever fails, refuses."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Awaitable, Callable
from itertools import count

import msgspec
import structlog
from prometheus_client import Counter

from gateway.blocklist import Blocklist
from gateway.config import Config
from gateway.devices import Devices
from gateway.enforcement.address import Proxies
from gateway.enforcement.attempt import NOTHING, UNKNOWN, UNREAD, Answer, Attempt, Content
from gateway.enforcement.refusal_log import RefusalLog
from gateway.enforcement.target import METHODS, names_host, split
from gateway.identity import Evidence, Identifier, Missing, Opaque, Refusal, UnknownKey, challenge, digest
from gateway.json_body import Ambiguous, read_json
from gateway.revocations import Revocations
from gateway.routing import Routing
from gateway.sessions import RecentCuts
from gateway.transactions import Minter
from policy import AccessRequest, Decision, Pdp, Principal, too_deep

_log = structlog.get_logger()
_REFUSED = Counter("portcullis_gateway_refused_total", "Attempts refused before policy was asked", ["why"])
_COUNTED = {why: _REFUSED.labels(why) for why in ("blocked", "unidentified", "unfit", "changing", "error")}
_start = secrets.randbits(64)
_NUMBER = count()

Ask = Callable[[Missing], Awaitable[None]]
Witness = Callable[[AccessRequest, Decision], None]


class Judge:
    """Answers attempts. `witness` sees the PDP's decisions; `ask` gets from an issuer what identification lacks."""

    def __init__(
        self,
        config: Config,
        identifier: Identifier,
        blocklist: Blocklist,
        pdp: Pdp,
        witness: Witness,
        ask: Ask,
        minter: Minter,
        devices: Devices,
        revocations: Revocations,
        recent: RecentCuts,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._routing = Routing(config)
        self._coming: Routing | None = None
        self._audiences = {issuer.issuer: {issuer.audience} for issuer in config.identity.issuers}
        self._identity = config.identity
        self.scheme = config.identity.scheme
        self.proxies = Proxies(config.edge.trusted_proxies, bool(config.edge.proxy_protocol_from))
        self._identifier = identifier
        self._blocklist = blocklist
        self._pdp = pdp
        self._witness = witness
        self._refusal_log = RefusalLog()
        self._ask = ask
        self._minter = minter
        self._devices = devices
        self._revocations = revocations
        self._recent = recent
        self._clock = clock

    def begin_change(self, routing: Routing) -> None:
        """The edge is about to change to this. Until it has, nobody knows which route it takes for a path whose route
        changes, and nobody may have it.
        """
        self._coming = routing

    def end_change(self, routing: Routing) -> None:
        """The edge has it."""
        self._routing, self._coming = routing, None

    def at_once(self, attempt: Attempt) -> Answer | None:
        """Answer without waiting; None where an issuer or another engine must be asked: then `ask`."""
        if not self._pdp.immediate:
            return None  # nothing is looked at twice: what a request proves counts once
        try:
            question = self._question(attempt)
            if isinstance(question, (UnknownKey, Opaque)):
                return None
            if not isinstance(question, Answer):
                question = self._answer(question, self._pdp.decide(question))
            return question if question.allowed or not len(self._recent) else self._with_cut(attempt, question)
        except Exception:
            return self._failed()

    async def ask(self, attempt: Attempt) -> Answer:
        """Answer, asking an issuer and a remote engine where that is needed."""
        answer = await self._asked(attempt)
        return answer if answer.allowed else self._with_cut(attempt, answer)

    async def _asked(self, attempt: Attempt) -> Answer:
        try:
            question = self._question(attempt)
            if isinstance(question, (UnknownKey, Opaque)):
                await self._ask(question)
                question = self._question(attempt)
            if isinstance(question, (UnknownKey, Opaque)):
                return self._unidentified(attempt, question.otherwise)
            if isinstance(question, Answer):
                return question
            decision = await self._pdp.ask(question)
            # A block may have come while we waited, or an agent's end.
            now = self._clock()
            withdrawn = self._identifier.withdrawn(question.principal, now) or self._revoked(question.principal, now)
            if withdrawn is not None:
                return self._unidentified(attempt, withdrawn)
            return self._blocked(question.principal, attempt) or self._answer(question, decision)
        except Exception:
            return self._failed()

    def content(self, target: str, body: bytes) -> Content:
        """What the edge showed of a request's content: all of it where the route has `body_bytes`; elsewhere its first
        byte, where signatures must cover content, which others may follow; and nothing where they need not.
        """
        if not self._identity.binds_content:
            return Content(body) if body else UNKNOWN
        if not body:
            return NOTHING
        path, _ = split(target) or ("", "")
        route = self._routing.match(path)
        return Content(body) if route is not None and route.body_bytes else UNREAD

    def evidence(self, attempt: Attempt, principal: Principal) -> Evidence:
        """What a principal that was just identified rests on."""
        return self._identifier.evidence(attempt.credentials, principal)

    def device(self, principal: Principal) -> str:
        """Id of the device that a principal names, "" for none."""
        return self._devices.named(principal)

    def _question(self, attempt: Attempt) -> AccessRequest | Answer | Missing:
        now = self._clock()
        principal = self._identifier.identify(attempt.credentials, now)
        if isinstance(principal, (UnknownKey, Opaque)):
            return principal
        if isinstance(principal, Refusal):
            return self._blocked(None, attempt) or self._unidentified(attempt, principal)
        if revoked := self._revoked(principal, now):
            return self._unidentified(attempt, revoked)
        return self._blocked(principal, attempt) or self._request(principal, attempt, now)

    def _revoked(self, principal: Principal, now: float) -> Refusal | None:
        revocation = self._revocations.find(principal, now)
        return Refusal("invalid_token", f"revoked: {revocation.reason}") if revocation else None

    def _with_cut(self, attempt: Attempt, answer: Answer) -> Answer:
        """A refusal of somebody whose stream was cut a moment ago names that cut."""
        names: list[bytes | str] = [digest(attempt.credentials), answer.principal.actor if answer.principal else ""]
        cut = self._recent.find(names, self._clock())
        return msgspec.structs.replace(answer, cut=cut.id, reasons=(*answer.reasons, cut.reason)) if cut else answer

    def _request(self, principal: Principal, attempt: Attempt, now: float) -> AccessRequest | Answer:
        if attempt.method not in METHODS:
            return self._bad("unknown_method")
        if not names_host(attempt.host):
            return self._bad("ambiguous_host")
        target = split(attempt.target)
        if target is None:
            return self._bad("ambiguous_path")
        path, query = target
        if self._coming is not None and self._coming.bound(path) != self._routing.bound(path):
            return self._changing()
        route = self._routing.match(path)
        if route is None:
            return self._bad("no_route")
        if not self._meant_for(route.service, principal):
            return self._unidentified(attempt, Refusal("invalid_token", "the token is for another service"))
        try:
            body = read_json(attempt.body) if attempt.body and route.body_bytes else None
        except Ambiguous:
            return self._bad("body_is_ambiguous")
        except ValueError:
            return self._bad("body_is_not_json")
        if too_deep(body):
            return self._bad("body_is_nested_too_deep")
        return AccessRequest(
            principal=principal,
            action="CALL" if self._routing.is_call(route.service) else attempt.method,
            service=route.service,
            path=path,
            query=query,
            host=attempt.host,
            address=attempt.address,
            stream=route.stream,
            body=body,
            device=self._devices.of(principal),
            time=now,
        )

    def _answer(self, request: AccessRequest, decision: Decision) -> Answer:
        self._witness(request, decision)
        principal = request.principal
        if decision.allowed:
            token = self._minter.token(principal, self._audience(request.service), request.time, decision.obligations)
            bound = self._routing.bound(request.path)
            return Answer(200, decision.id, "allow", (), "", "", token, principal, request, decision, "", bound)
        if decision.effect == "step_up":
            return self._step_up(request, decision)
        unavailable = "policy_unavailable" in decision.reasons or "policy_error" in decision.reasons
        status = 503 if unavailable else 403
        return Answer(
            status, decision.id, "deny", decision.reasons, principal=principal, request=request, decision=decision
        )

    def _step_up(self, request: AccessRequest, decision: Decision) -> Answer:
        principal = request.principal
        status, told = challenge.step_up(self._identity.realm, principal, decision.obligations)
        return Answer(status, decision.id, "step_up", decision.reasons, told, "", "", principal, request, decision)

    def _audience(self, service: str) -> str:
        """Whom a service's transaction tokens are meant for."""
        return self._routing.services[service].audience or service

    def _meant_for(self, service: str, principal: Principal) -> bool:
        """Whether a token that names whom it is meant for names this service."""
        own = self._routing.services[service].audience
        wanted = {own} if own else self._audiences.get(principal.issuer, set())
        return not principal.audience or not wanted or not wanted.isdisjoint(principal.audience)

    def _blocked(self, principal: Principal | None, attempt: Attempt) -> Answer | None:
        block = self._blocklist.find(principal, attempt.address)
        if block is None:
            return None
        _COUNTED["blocked"].inc()
        return Answer(403, refusal_id(), f"deny:{block.id}", ("blocked",), principal=principal)

    def _unidentified(self, attempt: Attempt, refusal: Refusal) -> Answer:
        _COUNTED["unidentified"].inc()
        identifier = refusal_id()
        where = {"address": attempt.address, "path": attempt.target.partition("?")[0]}
        self._refusal_log.tell(refusal, decision=identifier, **where)
        return Answer(
            refusal.status,
            identifier,
            "deny",
            (refusal.error or "no_credentials",),
            challenge.of(refusal, self._identity),
            self._identifier.nonce(self._clock()),
        )

    def _changing(self) -> Answer:
        _COUNTED["changing"].inc()
        return Answer(503, refusal_id(), "deny", ("routes_are_changing",))

    def _bad(self, reason: str) -> Answer:
        _COUNTED["unfit"].inc()
        return Answer(403 if reason == "no_route" else 400, refusal_id(), "deny", (reason,))

    def _failed(self) -> Answer:
        _COUNTED["error"].inc()
        _log.exception("judging failed, refused")
        return Answer(503, refusal_id(), "deny", ("unavailable",))


def refusal_id() -> str:
    """Id of a refusal that no decision stands behind: "r-" and 16 hex digits."""
    return f"r-{(_start + next(_NUMBER)) & 0xFFFFFFFFFFFFFFFF:016x}"


def _begin_anew() -> None:
    """Two processes that were one must not give out the same ids."""
    global _start
    _start = secrets.randbits(64)


os.register_at_fork(after_in_child=_begin_anew)
