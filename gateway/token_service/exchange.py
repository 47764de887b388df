"""The rules of an exchange: what comes out is never wider, never lives longer and never hides who acted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from gateway.config import TokenService
from gateway.identity.claims import SUBJECT_ISSUER
from gateway.identity.delegation import may_act_allows
from gateway.token_service.issued import CERTIFICATE, DPOP_KEY, ErrorCode, ExchangeError, Issued, Parties
from gateway.token_service.request import ExchangeRequest
from gateway.token_service.target import targets
from gateway.transactions import act_claim
from policy import Actor, Principal

# What we say ourselves. All other claims of the subject's token are kept: without one that limits her, a policy could
# allow more.
_TIMES = {"exp", "nbf", "iat", "auth_time"}
_OURS = _TIMES | {SUBJECT_ISSUER, "iss", "sub", "aud", "jti", "client_id", "azp", "scope", "roles", "acr", "act", "cnf"}
_MAY_ACT = "may_act"

Registered = Callable[[Principal], bool]


def exchange(
    request: ExchangeRequest, parties: Parties, settings: TokenService, now: float, *, jti: str, registered: Registered
) -> Issued | ExchangeError:
    """What may be signed for a request at `now` (Unix seconds), under the id `jti`. `registered` tells of a principal
    whether every actor in its chain is an agent that the bank has registered, that is fit, may act for its subject, and
    is bound to no key of another.
    """
    subject, actor = parties.subject, parties.actor
    cnf = _sender(parties)
    attributes = {**subject.attributes, "cnf": cnf}
    successor = msgspec.structs.replace(subject, actors=_chain(parties), attributes=attributes)
    scopes = request.scope or subject.scopes
    audience = targets(request, subject.audience, settings.audiences)
    ends = int(min(parties.ends, now + settings.life_seconds, actor.expires or parties.ends))
    seconds = ends - int(now)
    unacceptable: ErrorCode = "invalid_request" if request.actor_token else "unauthorized_client"
    checks: tuple[tuple[bool, ErrorCode, str], ...] = (
        (seconds > 0, "invalid_request", "the subject token or the proof of the actor has ended"),
        (_holds(parties), "invalid_request", "the subject token is bound to another sender"),
        (
            actor.kind == "agent" and not actor.actors,
            unacceptable,
            "the actor is no agent, or acts for somebody itself",
        ),
        (_may_act(subject, actor), unacceptable, "the subject does not let this actor act"),
        (_once_each(successor), unacceptable, "the actor has acted before"),
        (len(successor.actors) <= settings.max_chain, unacceptable, "the chain of actors is too long"),
        (bool(cnf), "invalid_request", "no proof of possession to bind the token to"),
        (
            registered(successor),
            unacceptable,
            "an actor is not registered, may not act for the subject, or shows a key that is not its own",
        ),
        (set(scopes) <= set(subject.scopes), "invalid_scope", "the scope is wider than the subject has"),
        (bool(audience), "invalid_target", "the subject has no token for this target"),
    )
    for holds, error, reason in checks:
        if not holds:
            return ExchangeError(error, reason)
    granted = " ".join(scopes)
    said = {"iss": settings.issuer, "aud": list(audience), "iat": int(now), "exp": ends, "jti": jti, "scope": granted}
    acting = {"client_id": actor.id, "act": act_claim(successor.actors), "cnf": cnf}
    return Issued(_kept(subject) | said | acting | {SUBJECT_ISSUER: subject.issuer}, seconds, granted)


def _chain(parties: Parties) -> tuple[Actor, ...]:
    """Who acts, then who acted before. An agent that narrows what it has stands there already."""
    actor, earlier = parties.actor, parties.subject.actors
    if earlier and earlier[0].id == actor.id:
        return earlier
    return (Actor(actor.id, actor.kind, actor.issuer), *earlier)


def _once_each(successor: Principal) -> bool:
    ids = list(successor.chain())
    return len(ids) == len(set(ids))


def _may_act(subject: Principal, actor: Principal) -> bool:
    return may_act_allows(subject.attributes, Actor(actor.id, actor.kind, actor.issuer))


def _holds(parties: Parties) -> bool:
    """Whether who asks may use the subject token: nobody who took it from its holder becomes its actor. Its holder may
    ask for a token for another agent, by that one's actor token; or `may_act` names who may come and ask.
    """
    attributes = parties.subject.attributes
    bound = attributes.get("cnf")
    if bound is None or _MAY_ACT in attributes:
        return True
    return isinstance(bound, Mapping) and bound.items() <= parties.proven.items()


def _sender(parties: Parties) -> dict[str, str]:
    """The cnf claim of what is issued: the key that the actor's own token is bound to, else the one proven with this
    request; none if there is neither.
    """
    bound = parties.actor.attributes.get("cnf") or parties.proven
    if not isinstance(bound, Mapping):
        return {}
    known = (name for name in (DPOP_KEY, CERTIFICATE) if isinstance(bound.get(name), str))
    return {name: bound[name] for name in known}


def _kept(subject: Principal) -> dict[str, Any]:
    """What the subject's token said, but for what we say ourselves."""
    others = {name: value for name, value in subject.attributes.items() if name not in _OURS}
    known = {"acr": subject.assurance, "auth_time": subject.authenticated}
    return (
        others
        | {name: value for name, value in known.items() if value}
        | {
            "sub": subject.id,
            "roles": list(subject.roles),
        }
    )
