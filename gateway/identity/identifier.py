"""Identification: credentials in, a principal or a refusal out. Verified tokens are remembered until they end; what a
request proves by itself is checked on each.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Final, Protocol

import msgspec
from prometheus_client import Counter

from gateway.config import Identity, TrustDomain
from gateway.identity import bearer, client_certificate
from gateway.identity.access_token import Trust
from gateway.identity.bearer import Answer, Answers, Believed, Opaque, Verified
from gateway.identity.client_certificate import ClientCertificate
from gateway.identity.credentials import Credentials
from gateway.identity.dpop import Proof
from gateway.identity.evidence import Evidence
from gateway.identity.jwks import KeySet, UnknownKey
from gateway.identity.proofs import Proofs
from gateway.identity.refusal import Refusal
from gateway.identity.signatures import Signed
from gateway.identity.spiffe import Bundle, x509_svid
from gateway.identity.standing import fallen
from policy import Principal

_REFUSED = Counter("portcullis_gateway_identity_refused_total", "Credentials refused", ["error"])


_ORDINARY: Final = 2048  # bytes of what is known of a token
_ORDINARY_LENGTH: Final = 1200  # characters of one
Missing = UnknownKey | Opaque  # what an issuer must be asked for


class Agents(Protocol):
    """Which AI agents may act. `epoch` grows with each change: what was answered in an earlier one may be wrong."""

    @property
    def epoch(self) -> int:
        """Counts changes."""
        ...

    def allowed(self, principal: Principal, now: float) -> Principal | Refusal:
        """The principal as the registry knows it, or why somebody in its chain may not act at `now` (Unix seconds)."""
        ...

    def of_key(self, thumbprint: str, now: float) -> Principal | Refusal:
        """The agent that holds a key."""
        ...


class _Anybody:
    """There is no registry: nobody is vetted, and no key is known."""

    epoch = 0

    def allowed(self, principal: Principal, now: float) -> Principal | Refusal:
        return principal

    def of_key(self, thumbprint: str, now: float) -> Principal | Refusal:
        return Refusal("invalid_signature", "no agent is registered with the key")


ANYBODY: Final = _Anybody()


@dataclass(frozen=True, slots=True)
class _Known:
    verified: Verified
    principal: Principal  # as the registry of agents has let it pass
    epoch: int  # of that registry
    weight: int  # bytes that it may take


class Identifier:
    """Turns credentials into principals. Does no I/O: keys, bundles and issuers' answers are put in, time is passed in.

    What is remembered is bounded by `identity.remembered`, where a token of more than ordinary length counts for
    several; the oldest is forgotten, and verified again when it comes back. Of a token only a digest stays.
    """

    def __init__(
        self,
        settings: Identity,
        agents: Agents = ANYBODY,
        proofs: Proofs | None = None,
        answers: Mapping[str, Answers] | None = None,
        audiences: Collection[str] = (),
        own: Trust | None = None,
    ) -> None:
        """Without `proofs`, what would have to be proven is refused. `audiences`: those of the services, beside each
        issuer's own. `own`: ourselves as an issuer, where we are one.
        """
        issuers = {issuer.issuer: Trust(issuer, KeySet(), (issuer.audience, *audiences)) for issuer in settings.issuers}
        issuers |= {own.issuer.issuer: own} if own else {}
        self._believed = Believed(
            issuers, {} if answers is None else answers, {}, settings.audience, settings.max_chain
        )
        # Until `put_bundles` a domain with a bundle vouches for nobody; one without leaves it to the edge.
        self._bundles: dict[str, Bundle | None] = {
            domain.name: Bundle() if _has_bundle(domain) else None for domain in settings.trust_domains
        }
        self._vouching: Sequence[Bundle] | None = None
        self.trusted: tuple[Mapping[str, Bundle], Sequence[Bundle] | None] | None = None  # what `put_bundles` was given
        self._room = settings.remembered * _ORDINARY
        self._taken = 0
        self._agents = agents
        self._proofs = proofs
        self._remembered: dict[bytes, _Known] = {}

    @property
    def remembered(self) -> int:
        """Tokens and certificates that need not be verified again."""
        return len(self._remembered)

    def put_keys(self, issuer: str, keys: KeySet) -> bool:
        """Replace an issuer's keys; what was verified with others must be verified again. True if they changed."""
        known = self._believed.issuers[issuer]
        if known.keys == keys:
            return False
        self._believed.issuers[issuer] = replace(known, keys=keys)
        self._forget_all()
        return True

    def put_audiences(self, audiences: Mapping[str, Collection[str]]) -> None:
        """Replace what the tokens of these issuers must be meant for; what was verified must be verified again."""
        for issuer, names in audiences.items():
            self._believed.issuers[issuer] = replace(self._believed.issuers[issuer], audiences=names)
        self._forget_all()

    def keys_of(self, issuer: str) -> KeySet:
        """An issuer's keys, as we know them now."""
        return self._believed.issuers[issuer].keys

    def all_keys(self) -> Mapping[str, KeySet]:
        """Each issuer's keys, as we know them now."""
        return {name: issuer.keys for name, issuer in self._believed.issuers.items()}

    def put_bundles(self, bundles: Mapping[str, Bundle], vouching: Sequence[Bundle] | None = None) -> None:
        """Replace the trust domains' bundles; what was verified with others must be verified again. `vouching`: those
        that any client certificate may stand on; None where the edge that looks at certificates is another's.
        """
        self._believed.trust_domains = bundles
        self._vouching = vouching
        self.trusted = (bundles, vouching)
        self._bundles = {name: bundles.get(name) for name in self._bundles}
        self._forget_all()

    def spoken_for(self, token: str, now: float) -> Principal | Refusal | Missing:
        """Who a token speaks for at `now` (Unix seconds), whoever sends it: what binds it to a sender is the asker's
        to look at (`attributes["cnf"]`).
        """
        answer = bearer.spoken_for(token, self._believed, now)
        return self._agents.allowed(answer, now) if isinstance(answer, Principal) else answer

    def held(self, credentials: Credentials, now: float) -> Proof | Refusal:
        """Which key the sender of a request holds, without a token."""
        if self._proofs is None:
            return Refusal("invalid_dpop_proof", "DPoP is not configured")
        return self._proofs.held(credentials, now)

    def certificate(self, header: str, now: float) -> ClientCertificate | Refusal:
        """The certificate that a client shows at `now` (Unix seconds), if it proves that it holds the key."""
        certificate = client_certificate.parse(header)
        if isinstance(certificate, Refusal):
            return certificate
        wrong = fallen(certificate, self._vouching, now)
        return Refusal("invalid_token", wrong) if wrong else certificate

    def signer(self, credentials: Credentials, now: float) -> Principal | Refusal | None:
        """The agent that signed a request with all its content, whatever else it shows; None if nobody signed it."""
        signed = self._proofs.signature(credentials, now) if self._proofs else None
        if not isinstance(signed, Signed):
            return signed
        if '"content-digest"' not in signed.components:
            return Refusal("invalid_signature", "content-digest is not covered")
        return self._agents.of_key(signed.keyid, now)

    def evidence(self, credentials: Credentials, principal: Principal) -> Evidence:
        """What a principal that these credentials have just named rests on."""
        certificate = client_certificate.parse(credentials.client_certificate) if "mtls" in principal.proof else None
        signed = bearer.signer(credentials.authorization, self._believed)
        confirmation = principal.attributes.get("cnf")
        holder = confirmation.get("jkt", "") if isinstance(confirmation, dict) else ""
        return Evidence(
            digest=digest(credentials),
            issuer=signed.issuer if signed else "",
            key=signed.thumbprint if signed else "",
            holder=holder if isinstance(holder, str) else "",
            certificate=None if isinstance(certificate, Refusal) else certificate,
            opaque=signed.opaque if signed else "",
        )

    def unproven(self, principal: Principal, evidence: Evidence, now: float) -> str:
        """Why a principal's proof holds no more at `now` (Unix seconds); "" if it does."""
        if principal.expires <= now:
            return "token_expired"
        if evidence.key and not bearer.vouches(evidence.issuer, evidence.key, self._believed):
            return "key_removed"
        if evidence.certificate is None:
            return ""
        if "x509-svid" in principal.proof:
            gone = isinstance(x509_svid(evidence.certificate, self._bundles, now), Refusal)
        else:
            gone = bool(fallen(evidence.certificate, self._vouching, now))
        return "certificate_refused" if gone else ""

    def withdrawn(self, principal: Principal, now: float) -> Refusal | None:
        """Why a principal that was identified a moment ago may act no more, if that is so."""
        answer = self._agents.allowed(principal, now)
        return answer if isinstance(answer, Refusal) else None

    def nonce(self, now: float) -> str:
        """What a DPoP-Nonce header says; empty if proofs need none."""
        return self._proofs.nonce(now) if self._proofs else ""

    def identify(self, credentials: Credentials, now: float) -> Principal | Refusal | Missing:
        """Who shows these credentials at `now` (Unix seconds)."""
        answer = self._identify(credentials, now)
        if isinstance(answer, Refusal):
            _REFUSED.labels(answer.error or "no_credentials").inc()
        return answer

    def _identify(self, credentials: Credentials, now: float) -> Principal | Refusal | Missing:
        if not credentials.authorization and credentials.request is not None and self._proofs is not None:
            signed = self._proofs.signature(credentials, now)
            if signed is not None:
                return signed if isinstance(signed, Refusal) else self._agents.of_key(signed.keyid, now)
        known = self._known(credentials, now)
        if not isinstance(known, _Known):
            return known
        if credentials.request is None or self._proofs is None:
            return _unbound(known)
        return self._proven(known, self._proofs, credentials, now)

    def _known(self, credentials: Credentials, now: float) -> _Known | Refusal | Missing:
        name = digest(credentials)
        known = self._remembered.get(name)
        if known is not None and now < known.principal.expires and known.epoch == self._agents.epoch:
            return known
        still = known is not None and now < known.verified.principal.expires  # and only the registry has changed
        verified = known.verified if known is not None and still else self._examine(credentials, now)
        if not isinstance(verified, Verified):
            return verified
        principal = self._agents.allowed(verified.principal, now)
        if isinstance(principal, Refusal):
            return principal
        known = _Known(verified, principal, self._agents.epoch, _weight(credentials))
        self._remember(name, known)
        return known

    def _examine(self, credentials: Credentials, now: float) -> Verified | Refusal | Missing:
        certificate: ClientCertificate | Refusal | None = None
        if credentials.client_certificate:
            certificate = client_certificate.parse(credentials.client_certificate)
        if isinstance(certificate, Refusal):
            return certificate
        if credentials.authorization:
            return self._standing(
                bearer.shown(credentials.authorization, certificate, self._believed, now), certificate, now
            )
        workload = x509_svid(certificate, self._bundles, now) if certificate else Refusal("", "no credentials")
        return Verified(workload) if isinstance(workload, Principal) else workload

    def _standing(self, answer: Answer, certificate: ClientCertificate | None, now: float) -> Answer:
        """A token that is bound to a certificate counts for as long as that stands."""
        if certificate is None or not isinstance(answer, Verified) or "mtls" not in answer.principal.proof:
            return answer
        if wrong := fallen(certificate, self._vouching, now):
            return Refusal("invalid_token", wrong)
        ends = min(answer.principal.expires, certificate.expires)
        return replace(answer, principal=msgspec.structs.replace(answer.principal, expires=ends))

    def _proven(self, known: _Known, proofs: Proofs, credentials: Credentials, now: float) -> Principal | Refusal:
        """The principal with what this request proves, too."""
        principal, bound = known.principal, known.verified.bound
        if bound is not None:
            proof = proofs.possession(credentials, bound, now)
            if not isinstance(proof, Proof):
                return proof
            principal = _also(principal, "dpop")
        signed = proofs.signature(credentials, now)
        if isinstance(signed, Refusal):
            return signed
        return self._signed_by(principal, signed, now) if signed else principal

    def _signed_by(self, principal: Principal, signed: Signed, now: float) -> Principal | Refusal:
        """Who signs must be who acts."""
        agent = self._agents.of_key(signed.keyid, now)
        if isinstance(agent, Refusal):
            return agent
        if agent.id != principal.actor:
            return Refusal("invalid_signature", f"signed by {agent.id}, and {principal.actor} acts")
        return _also(principal, "http-signature")

    def _remember(self, name: bytes, known: _Known) -> None:
        self._forget(name)
        while self._remembered and self._taken + known.weight > self._room:
            self._forget(next(iter(self._remembered)))
        self._remembered[name] = known
        self._taken += known.weight

    def _forget(self, name: bytes) -> None:
        known = self._remembered.pop(name, None)
        self._taken -= known.weight if known else 0

    def _forget_all(self) -> None:
        self._remembered.clear()
        self._taken = 0


def _has_bundle(domain: TrustDomain) -> bool:
    return bool(domain.bundle or domain.workload_api)


def _weight(credentials: Credentials) -> int:
    """Bytes that what is known of a token takes, at most: claims of many small parts take the most (measured: 15.5
    bytes a character of the token), and one of ordinary length less than `_ORDINARY` in all.
    """
    return _ORDINARY + 16 * max(0, len(credentials.authorization) - _ORDINARY_LENGTH)


def digest(credentials: Credentials) -> bytes:
    """Which token and certificate these are; other proofs are no part of what is remembered. However its scheme is
    spelled, a token is remembered once. Empty where neither is shown.
    """
    if not credentials.authorization and not credentials.client_certificate:
        return b""
    scheme, _, token = credentials.authorization.partition(" ")
    text = f"{credentials.client_certificate}\n{scheme.lower()} {token}"
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _unbound(known: _Known) -> Principal | Refusal:
    if known.verified.bound is not None:
        return Refusal("invalid_dpop_proof", "no proof")
    return known.principal


def _also(principal: Principal, proof: str) -> Principal:
    return msgspec.structs.replace(principal, proof=(*principal.proof, proof))
