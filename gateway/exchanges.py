"""The token service of this gateway: who takes part in an exchange, by the same identification that judges requests."""

from __future__ import annotations

import secrets
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Final

import msgspec
from starlette.datastructures import Headers

from gateway.agents import Registry, chain_allowed
from gateway.config import Config, TokenService
from gateway.decision_api import Bounds, serve_unix
from gateway.edge import EXCHANGE_CONNECTIONS, EXCHANGE_PATH
from gateway.enforcement import RefusalLog
from gateway.identity import Credentials, Identifier, Message, Missing, Refusal
from gateway.token_service import ExchangeError, ExchangeRequest, Issued, Parties, exchange, token_application
from gateway.token_service.issued import CERTIFICATE, DPOP_KEY, ErrorCode
from gateway.transactions import SigningKeys
from policy import Principal

_BOUNDS: Final = Bounds(64 * 1024, 10.0)
_CONNECTIONS: Final = EXCHANGE_CONNECTIONS + 64  # the edge's, all of which are let in, with one for each worker thread
_CERTIFICATE: Final = "x-forwarded-client-cert"
_REFUSED: Final = "what was shown is not accepted"

Ask = Callable[[Missing], Awaitable[None]]


class Exchanges:
    """Answers at the token endpoint. `ask` gets from an issuer what identification lacks."""

    def __init__(
        self,
        config: Config,
        settings: TokenService,
        identifier: Identifier,
        agents: Registry,
        signing: SigningKeys,
        ask: Ask,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._scheme = config.identity.scheme
        self._leeway = max((issuer.leeway_seconds for issuer in config.identity.issuers), default=0)
        self._identifier = identifier
        self._agents = agents
        self._signing = signing
        self._ask = ask
        self._clock = clock
        self._refusal_log = RefusalLog()

    async def serve(self, socket: Path) -> None:
        """Answer on a Unix socket until cancelled. Raises OSError."""
        await serve_unix(token_application(self.identify, self.exchange, self.sign), socket, _BOUNDS, _CONNECTIONS)

    async def identify(self, request: ExchangeRequest, headers: Headers, body: bytes) -> Parties | ExchangeError:
        """Whose token it is, who is to act, and what the sender proves to hold."""
        shown = self._shown(headers, body)
        subject = await self._spoken_for(request.subject_token)
        if isinstance(subject, Refusal):
            return self._refused("invalid_request", "subject_token", subject)
        sender = self._identifier.signer(shown, self._clock())
        if isinstance(sender, Refusal):
            return self._refused("invalid_client", "signature", sender)
        actor = await self._actor(request, sender, shown)
        if isinstance(actor, Refusal):
            if request.actor_token:
                return self._refused("invalid_request", "actor_token", actor)
            return self._refused("invalid_client", "the sender", actor)
        proven = self._proven(headers, shown)
        if isinstance(proven, ExchangeError):
            return proven
        # A principal lives longer than its token by what clocks may differ; what we issue does not.
        return Parties(subject, subject.expires - self._leeway, self._as_agent(actor), proven)

    def exchange(self, request: ExchangeRequest, parties: Parties) -> Issued | ExchangeError:
        """Judge a request whose parties are known."""
        now = self._clock()
        registered = partial(self._registered, now=now)
        return exchange(request, parties, self._settings, now, jti=secrets.token_hex(16), registered=registered)

    def sign(self, issued: Issued) -> str:
        """The token of what was granted."""
        return issued.signed(self._signing.ring.signer(self._clock()))

    def _registered(self, successor: Principal, now: float) -> bool:
        answer = chain_allowed(successor, self._agents, now, required=True)
        if isinstance(answer, Refusal):
            self._refusal_log.tell(answer, exchange="the chain of actors")
        return not isinstance(answer, Refusal)

    async def _spoken_for(self, token: str) -> Principal | Refusal:
        return await self._asked(partial(self._identifier.spoken_for, token))

    async def _actor(
        self, request: ExchangeRequest, signer: Principal | None, shown: Credentials
    ) -> Principal | Refusal:
        """By its own token, by its signature over the request, or by the certificate of the connection."""
        if request.actor_token:
            return await self._spoken_for(request.actor_token)
        certificate = Credentials(client_certificate=shown.client_certificate)
        return signer or await self._asked(partial(self._identifier.identify, certificate))

    async def _asked(self, identify: Callable[[float], Principal | Refusal | Missing]) -> Principal | Refusal:
        """What identification says, after an issuer was asked once where it must be."""
        answer = identify(self._clock())
        if isinstance(answer, Missing):
            await self._ask(answer)
            answer = identify(self._clock())
        return answer.otherwise if isinstance(answer, Missing) else answer

    def _as_agent(self, actor: Principal) -> Principal:
        """A workload that is a registered agent acts under the agent's id."""
        agent = self._agents.behind(actor.id)
        return msgspec.structs.replace(actor, id=agent.id, kind="agent") if agent else actor

    def _shown(self, headers: Headers, body: bytes) -> Credentials:
        """What the sender shows of itself: as it sent it, before the edge gave it another path."""
        proofs = headers.getlist("dpop")
        message = Message(
            method="POST",
            scheme=self._scheme,
            authority=headers.get("host", ""),
            path=EXCHANGE_PATH,
            headers=tuple(headers.items()),
            body=body,
        )
        return Credentials("", headers.get(_CERTIFICATE, ""), proofs[0] if len(proofs) == 1 else "", message)

    def _proven(self, headers: Headers, shown: Credentials) -> dict[str, str] | ExchangeError:
        """What the sender proves to hold, as a `cnf` claim names it: a key, the certificate of the connection."""
        proven: dict[str, str] = {}
        if "dpop" in headers:
            proof = self._identifier.held(shown, self._clock())
            if isinstance(proof, Refusal):
                return self._unproven(proof)
            proven[DPOP_KEY] = proof.thumbprint
        if shown.client_certificate:
            certificate = self._identifier.certificate(shown.client_certificate, self._clock())
            if isinstance(certificate, Refusal):
                return self._refused("invalid_request", "certificate", certificate)
            proven[CERTIFICATE] = certificate.thumbprint
        return proven

    def _unproven(self, refusal: Refusal) -> ExchangeError:
        nonce = self._identifier.nonce(self._clock())
        again = refusal.error == "use_dpop_nonce"
        told = {"dpop-nonce": nonce} if nonce else {}
        return self._refused("use_dpop_nonce" if again else "invalid_dpop_proof", "DPoP", refusal, told)

    def _refused(
        self, error: ErrorCode, what: str, refusal: Refusal, told: dict[str, str] | None = None
    ) -> ExchangeError:
        """Which of what was shown is not accepted; why, the log says alone."""
        self._refusal_log.tell(refusal, exchange=what)
        return ExchangeError(error, f"{what}: {_REFUSED}", told or {})
