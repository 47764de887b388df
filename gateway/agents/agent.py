"""An agent as the bank has registered it: what it was made for, what it may use, and whether it still may."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from policy import decode_json

State = Literal["active", "suspended", "revoked"]

ANYBODY = "*"  # in `may_act_for`
_UNSEEN = frozenset({"keys", "spiffe_id", "changed", "by", "reason"})
_OWNER = r"^(person|team):[!-~]{1,256}\Z"
_PRINTABLE = r"^[^\x00-\x1f\x7f-\x9f]*\Z"
_FOR = r"^(\*|(person|agent|workload|role):[!-~]{1,256})\Z"
_LARGEST = 1e15  # of an amount: what a double holds to the cent, and no bank pays at once
_DISTANT = 4_102_444_800.0  # Unix seconds, the year 2100

Id = Annotated[str, Meta(pattern=r"^agent:[!-~]{1,256}\Z")]
Words = Annotated[str, Meta(min_length=1, max_length=1000, pattern=_PRINTABLE)]
Name = Annotated[str, Meta(min_length=1, max_length=200, pattern=_PRINTABLE)]
Tool = Annotated[str, Meta(pattern=r"^[!-~]{1,200}\Z")]
Currency = Annotated[str, Meta(pattern=r"^[A-Z]{3}\Z")]
Amount = Annotated[int, Meta(ge=0, le=int(_LARGEST))] | Annotated[float, Meta(ge=0, le=_LARGEST)]
Time = Annotated[float, Meta(ge=0, le=_DISTANT)]
Thumbprint = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{43}\Z")]
SpiffeId = Annotated[str, Meta(pattern=r"^(spiffe://[a-z0-9._-]{1,255}(/[A-Za-z0-9._-]+)+)?\Z", max_length=2048)]


class Profile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """What is declared of an agent. What is not listed is not allowed. Made by msgspec, which checks the values
    and raises ValidationError.
    """

    id: Id
    owner: Annotated[str, Meta(pattern=_OWNER)]  # a person or a team: who answers for it
    purpose: Words
    model: Name
    version: Name
    expires: Time  # Unix seconds; an agent without an end is one that nobody looks at again
    not_before: Time = 0.0  # Unix seconds
    tools: Annotated[tuple[Tool, ...], Meta(max_length=1000)] = ()
    amounts: Annotated[dict[Currency, Amount], Meta(max_length=200)] = {}  # the largest at once, by ISO 4217 currency
    may_act_for: Annotated[tuple[Annotated[str, Meta(pattern=_FOR)], ...], Meta(max_length=1000)] = ()
    keys: Annotated[tuple[Thumbprint, ...], Meta(max_length=16)] = ()  # RFC 7638, SHA-256: of HTTP signatures, DPoP
    spiffe_id: SpiffeId = ""  # of its X.509-SVID or JWT-SVID

    def __post_init__(self) -> None:
        if self.expires <= self.not_before:
            raise ValueError("expires must be after not_before")
        for name in ("tools", "may_act_for", "keys"):
            if len(set(getattr(self, name))) != len(getattr(self, name)):
                raise ValueError(f"{name} names something twice")

    def acts_for(self, principal: str, roles: Collection[str]) -> bool:
        """Whether it may act on behalf of a principal who has these roles."""
        wanted = self.may_act_for
        return ANYBODY in wanted or principal in wanted or any(f"role:{role}" in wanted for role in roles)

    def names(self) -> tuple[str, ...]:
        """The ids under which it stands in chains."""
        return (self.id, f"workload:{self.spiffe_id}") if self.spiffe_id else (self.id,)


class Agent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """A registered agent, and the last change of it: who made it, when and why."""

    profile: Profile
    state: State = "active"
    changed: float  # Unix seconds
    by: str
    reason: str = ""

    @property
    def id(self) -> str:
        """Its id."""
        return self.profile.id

    def unfit(self, now: float) -> str:
        """Why it may not act at `now` (Unix seconds); empty if it may."""
        if self.state != "active":
            return self.state
        if now < self.profile.not_before:
            return "not valid yet"
        return "" if now < self.profile.expires else "expired"

    def told(self) -> dict[str, Any]:
        """All of it as JSON values."""
        last = {"state": self.state, "changed": self.changed, "by": self.by, "reason": self.reason}
        profile: dict[str, Any] = msgspec.to_builtins(self.profile)
        return profile | last

    def for_policy(self) -> dict[str, Any]:
        """What policy sees of it, as Rego values: not how it proves itself, nor who changed it last."""
        seen = {name: value for name, value in self.told().items() if name not in _UNSEEN}
        view: dict[str, Any] = decode_json(msgspec.json.encode(seen))
        return view
