"""A thousand requests to the bank, drawn from a seed: by people, staff, workloads and agents, allowed and refused."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from bench.decisions.bank import (
    AGENTS,
    BLOCK,
    PEOPLE,
    PERSON_LIMIT,
    RISKY,
    STAFF,
    WORKLOADS,
    account,
    agent,
    person,
    workload,
)
from policy import AccessRequest, Actor, Principal

SEED = 4
REQUESTS = 1000
NOW = 1_800_000_000.0
ISSUER = "https://id.bank.example"
SCOPES = ("accounts:read", "payments:write", "ledger:read")
STRONG = "urn:bank:strong"
TOKEN_LIMIT = 500  # of an agent, by its delegation
TELLER_LIMIT = 3_000  # by token
STEP = 7919  # blocks from one known principal to the next; a prime

One = tuple[int, int]  # a block and a number in it


def requests(principals: int, count: int = REQUESTS, *, known: bool = False) -> list[tuple[str, AccessRequest]]:
    """Requests with their kinds; for a bank of another size only the blocks differ. By any principals at all, or by a
    hundred *known* ones alone, who lie anywhere among the others.
    """
    draw = _Draw(principals // BLOCK, known)
    kinds = draw.rng.choices(list(KINDS), [weight for weight, _ in KINDS.values()], k=count)
    return [(kind, KINDS[kind][1](draw)) for kind in kinds]


class _Draw:
    def __init__(self, blocks: int, known: bool):
        self.rng = random.Random(SEED)
        self._blocks = blocks
        self._known = known

    def block(self, one: int) -> int:
        return one * STEP % self._blocks if self._known else int(self.rng.random() * self._blocks)

    def customer(self) -> One:
        one = self.rng.randrange(len(STAFF), PEOPLE)
        return self.block(one), one

    def staff(self, *jobs: str) -> One:
        one = STAFF.index(self.rng.choice(jobs))
        return self.block(one), one

    def agent(self) -> str:
        one = self.rng.randrange(AGENTS)
        return agent(self.block(one), one)

    def workload(self) -> str:
        one = self.rng.randrange(WORKLOADS)
        return workload(self.block(one), one)

    def amount(self, limit: int) -> float:
        below = self.rng.randrange(1, limit)
        return self.rng.choice([below, below + 0.5, limit, limit + 1])


def _asks(who: Principal, action: str, path: str, **more: Any) -> AccessRequest:
    fields: dict[str, Any] = {"service": "bank", "host": "api.bank.example", "address": "198.51.100.7", **more}
    return AccessRequest(principal=who, action=action, path=path, time=NOW, **fields)


def _reads(draw: _Draw, who: Principal, whose: One) -> AccessRequest:
    number = account(*whose)
    path = draw.rng.choice([f"/accounts/{number}", f"/accounts/{number}/statements", f"/streams/accounts/{number}"])
    return _asks(who, "GET", path, stream=path.startswith("/streams"))


def _pays(draw: _Draw, who: Principal, source: One, amount: Any) -> AccessRequest:
    body = {"from": account(*source), "to": account(*draw.customer()), "amount": amount, "reference": "invoice 4711"}
    return _asks(who, "POST", "/payments", body=body)


def _by_token(who: One, **more: Any) -> Principal:
    fields: dict[str, Any] = {"scopes": SCOPES, "authenticated": NOW - 100, **more}
    return Principal(id=person(*who), kind="person", issuer=ISSUER, proof=("bearer",), **fields)


def _by_agent(draw: _Draw, who: One) -> Principal:
    return _by_token(who, actors=(Actor(draw.agent(), "agent", ISSUER),), attributes={"limit": TOKEN_LIMIT})


def _by_certificate(name: str) -> Principal:
    return Principal(id=name, kind="workload", issuer="bank.example", proof=("mtls", "x509-svid"))


def _own_account(draw: _Draw) -> AccessRequest:
    who = draw.customer()
    return _reads(draw, _by_token(who), who)


def _own_payment(draw: _Draw) -> AccessRequest:
    who = draw.customer()
    return _pays(draw, _by_token(who), who, draw.amount(PERSON_LIMIT))


def _agent_payment(draw: _Draw) -> AccessRequest:
    who = draw.customer()
    return _pays(draw, _by_agent(draw, who), who, draw.amount(TOKEN_LIMIT))


def _agent_read(draw: _Draw) -> AccessRequest:
    who = draw.customer()
    return _reads(draw, _by_agent(draw, who), who)


def _teller_payment(draw: _Draw) -> AccessRequest:
    who = _by_token(draw.staff("teller"), roles=("teller",), attributes={"limit": TELLER_LIMIT})
    return _pays(draw, who, draw.customer(), draw.amount(5_000))


def _staff_payment(draw: _Draw) -> AccessRequest:
    who = _by_token(draw.staff("adviser", "manager", "back-office"))
    return _pays(draw, who, draw.customer(), draw.amount(20_000))


def _staff_read(draw: _Draw) -> AccessRequest:
    return _reads(draw, _by_token(draw.staff("adviser", "auditor", "manager", "support")), draw.customer())


def _workload_read(draw: _Draw) -> AccessRequest:
    return _reads(draw, _by_certificate(draw.workload()), draw.customer())


def _risky_payment(draw: _Draw) -> AccessRequest:
    who = (draw.block(RISKY), RISKY)
    return _pays(draw, _by_token(who, assurance=draw.rng.choice(["", STRONG])), who, draw.amount(PERSON_LIMIT))


def _foreign_account(draw: _Draw) -> AccessRequest:
    return _reads(draw, _by_token(draw.customer()), draw.customer())


def _foreign_payment(draw: _Draw) -> AccessRequest:
    return _pays(draw, _by_token(draw.customer()), draw.customer(), draw.amount(PERSON_LIMIT))


def _bad_amount(draw: _Draw) -> AccessRequest:
    who = draw.customer()
    return _pays(draw, _by_token(who), who, draw.rng.choice([-1, 0, "100", None, True]))


def _no_delegation(draw: _Draw) -> AccessRequest:
    who = Principal(id=draw.agent(), kind="agent", issuer=ISSUER, scopes=SCOPES)
    return _reads(draw, who, draw.customer())


def _foreign_workload(draw: _Draw) -> AccessRequest:
    return _reads(draw, _by_certificate("workload:spiffe://evil.example/batch"), draw.customer())


def _no_scope(draw: _Draw) -> AccessRequest:
    who = draw.customer()
    return _reads(draw, _by_token(who, scopes=("payments:write",)), who)


def _ledger(draw: _Draw) -> AccessRequest:
    method = draw.rng.choice(["Balance", "Watch", "Drop"])
    return _asks(_by_token(draw.customer()), "CALL", f"/bank.Ledger/{method}")


KINDS: dict[str, tuple[int, Callable[[_Draw], AccessRequest]]] = {  # with how often of a hundred
    "own account": (30, _own_account),
    "own payment": (12, _own_payment),
    "agent's payment": (12, _agent_payment),
    "workload's read": (8, _workload_read),
    "agent's read": (6, _agent_read),
    "teller's payment": (6, _teller_payment),
    "staff's payment": (6, _staff_payment),
    "staff's read": (6, _staff_read),
    "payment at risk": (3, _risky_payment),
    "foreign account": (3, _foreign_account),
    "foreign payment": (2, _foreign_payment),
    "ledger": (2, _ledger),
    "bad amount": (1, _bad_amount),
    "no delegation": (1, _no_delegation),
    "foreign workload": (1, _foreign_workload),
    "no scope": (1, _no_scope),
}
