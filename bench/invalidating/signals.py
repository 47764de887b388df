"""The kinds of signals: each stops one principal, and can be taken back."""

from __future__ import annotations

import time
from typing import Any, Protocol

from bench.invalidating.admin import Admin, Order
from bench.system import Issuer

SCOPE = "accounts:read"
ROLE = "teller"
OWNER = "person:owner"
_DAY = 86_400.0


class Signal(Protocol):
    """One kind. Whom it is about has a `name` of her own each time: nothing that went before touches her."""

    name: str
    marked: str  # the kind under which the edge is told; empty for everybody

    def prepare(self, admin: Admin, issuer: Issuer, name: str) -> str:
        """Whoever is named so may ask; her token."""
        ...

    def whom(self, name: str) -> str:
        """Under what it is marked."""
        ...

    def order(self, name: str) -> Order:
        """What stops her."""
        ...

    def restore(self, name: str, answer: dict[str, Any]) -> Order:
        """What lets her in again; `answer` is what the order was answered with."""
        ...


class _Teller:
    """A person who may by her role."""

    def prepare(self, admin: Admin, issuer: Issuer, name: str) -> str:
        """Her token."""
        return issuer.token(self.whom(name), scope=SCOPE, roles=[ROLE])

    def whom(self, name: str) -> str:
        """Her id."""
        return f"person:{name}"


class Block(_Teller):
    """An operator's block: the edge first, the record after."""

    name, marked = "block", "principal"

    def order(self, name: str) -> Order:
        """For an hour."""
        body = {"kind": "principal", "value": self.whom(name), "ttl": 3600}
        return Order("POST", "/v1/blocks", body, "accepted")

    def restore(self, name: str, answer: dict[str, Any]) -> Order:
        """Lift it."""
        return Order("DELETE", f"/v1/blocks/{answer['block']}", {}, "lifted")


class Data(_Teller):
    """Policy's data says that she is suspended: on record first, and whoever read any data is asked about anew."""

    name, marked = "data", ""

    def order(self, name: str) -> Order:
        """Her record."""
        body = {"path": f"/principals/{self.whom(name)}", "value": {"status": "suspended"}}
        return Order("PUT", "/v1/policy/data", body, "changed")

    def restore(self, name: str, answer: dict[str, Any]) -> Order:
        """She has none again."""
        return Order("DELETE", "/v1/policy/data", {"path": f"/principals/{self.whom(name)}"}, "changed")


class Suspension:
    """An agent that acts for somebody is suspended: at once, the record after."""

    name, marked = "agent", "actor"

    def prepare(self, admin: Admin, issuer: Issuer, name: str) -> str:
        """Registered, and with a token of an owner's."""
        profile = {
            "id": self.whom(name),
            "owner": "team:bench",
            "purpose": "measured",
            "model": "none",
            "version": "1",
            "expires": time.time() + _DAY,
            "tools": ["accounts.read"],
            "may_act_for": ["*"],
        }
        admin.carry_out(Order("POST", "/v1/agents", {"profile": profile}, "added"))
        return issuer.token(OWNER, scope=SCOPE, act={"sub": self.whom(name)})

    def whom(self, name: str) -> str:
        """Its id."""
        return f"agent:{name}"

    def order(self, name: str) -> Order:
        """Suspend it."""
        return Order("PATCH", "/v1/agents", {"verb": "suspend", "agent": self.whom(name)}, "suspended")

    def restore(self, name: str, answer: dict[str, Any]) -> Order:
        """Let it go on."""
        return Order("PATCH", "/v1/agents", {"verb": "resume", "agent": self.whom(name)}, "resumed")


MAIN: Signal = Block()
OTHERS: tuple[Signal, ...] = (Suspension(), Data())
