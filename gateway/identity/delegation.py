"""Delegation in a token's claims (RFC 8693): `act` is who acts for the subject, `may_act` who may come to."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from gateway.identity.refusal import Refusal
from policy import Actor, PrincipalKind

Kinds = Collection[PrincipalKind]
# Ids travel in headers and logs: printable ASCII without blanks, and short.
_ID = re.compile(r"(person|agent|workload):[!-~]{1,256}\Z")
_BARE = re.compile(r"[!-~]{1,256}\Z")
_ISSUER = re.compile(r"[!-~]{1,2048}\Z")
# Who may act is told by these alone (RFC 8693 section 4.4: what says how long or for whom has no meaning there).
_READ, _MEANINGLESS = {"sub", "iss"}, {"exp", "nbf", "aud"}


def principal_id(name: str, bare: PrincipalKind) -> str | None:
    """A principal id from a `sub` claim; a name without one of our prefixes is of kind `bare`. None if unfit."""
    if _ID.match(name):
        return name
    return f"{bare}:{name}" if _BARE.match(name) else None


def subject_id(name: str, by_itself: bool, kinds: Kinds) -> str | None:
    """A principal id from the `sub` claim of an issuer that may vouch for these `kinds`; None if that is none, or
    another's to name. `by_itself`: the client acts for nobody but itself (RFC 9068 section 5), and is no person.
    """
    identifier = principal_id(name, "workload" if by_itself else "person")
    if identifier is None or not _may_name(identifier, kinds):
        return None
    other = "person" if by_itself else "workload"
    return None if kind_of(identifier) == other else identifier


def _may_name(identifier: str, kinds: Kinds) -> bool:
    """Only a trust domain names its workloads (SPIFFE-ID, section 2.1)."""
    kind, _, name = identifier.partition(":")
    return kind in kinds and not name.startswith("spiffe:")


def kind_of(identifier: str) -> PrincipalKind:
    """The kind that an id begins with."""
    return identifier.partition(":")[0]  # type: ignore[return-value]  # principal_id admits nothing else


def actors_of(act: Any, issuer: str, longest: int, kinds: Kinds | None) -> tuple[Actor, ...] | Refusal:
    """The chain in an `act` claim of `issuer`, the current actor first (RFC 8693 section 4.1). Refused: a chain longer
    than `longest`, an actor of a kind that the issuer may not vouch for (None: it may for all), and one who stands
    twice, for whoever comes round to act again hides behind another.

    All but the first is history: it can make a request be refused, and never be what allows it.
    """
    actors: list[Actor] = []
    while act is not None:
        if len(actors) == longest:
            return Refusal("invalid_token", f"delegation chain longer than {longest}")
        actor = _actor(act, issuer)
        if actor is None:
            return Refusal("invalid_token", "act claim without a usable sub, or with an iss that is none")
        if kinds is not None and not _may_name(actor.id, kinds):
            return Refusal("invalid_token", f"the issuer may not vouch for {actor.id}")
        if any(actor.id == earlier.id for earlier in actors):
            return Refusal("invalid_token", f"{actor.id} stands twice in the delegation chain")
        actors.append(actor)
        act = act.get("act")
    return tuple(actors)


def may_act_allows(claims: Mapping[str, Any], actor: Actor) -> bool:
    """Whether the claims of a token let `actor` come to act for its subject (RFC 8693 section 4.4).

    Without `may_act` they say nothing against it. With it, `sub` must name the actor, and so must `iss` where it is
    given; whatever else would narrow it down is more than we can check, and lets nobody act.
    """
    if "may_act" not in claims:
        return True
    wanted = claims["may_act"]
    if not isinstance(wanted, dict) or wanted.keys() - _READ - _MEANINGLESS:
        return False
    named = _actor(wanted, actor.issuer)
    return named is not None and (named.id, named.issuer) == (actor.id, actor.issuer)


def _actor(claim: Any, issuer: str) -> Actor | None:
    """The party that `sub`, and `iss` if it is another's name than the `issuer`'s, stand for."""
    if not isinstance(claim, dict):
        return None
    name, by = claim.get("sub"), claim.get("iss", issuer)
    identifier = principal_id(name, "agent") if isinstance(name, str) else None
    fit = identifier is not None and isinstance(by, str) and (by == issuer or _ISSUER.match(by))
    return Actor(identifier, kind_of(identifier), by) if identifier and fit else None
