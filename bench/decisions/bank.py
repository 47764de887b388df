"""The bank that is asked about: principals with records, roles, accounts and risk.

A *block* is a hundred principals, the same in every block but for their ids. So a bank of any size can be asked the
same questions about the same kinds of principals, spread over all of its blocks.
"""

from __future__ import annotations

import json
from typing import Any

BLOCK, PEOPLE, AGENTS, WORKLOADS = 100, 90, 8, 2  # principals in a block, and by kind
BRANCHES = 25
JOBS: dict[str, dict[str, Any]] = {
    "customer": {"permissions": []},
    "teller": {"permissions": ["payments:write"], "limit": 5_000},
    "adviser": {"permissions": ["accounts:read", "payments:write"], "limit": 20_000},
    "auditor": {"permissions": ["accounts:read"]},
    "manager": {"permissions": ["accounts:read", "payments:write", "ledger:read"], "limit": 100_000},
    "support": {"permissions": ["accounts:read"]},
    "back-office": {"permissions": ["payments:write"], "limit": 50_000},
    "treasurer": {"permissions": ["ledger:read"], "limit": 0},
}
STAFF = ("teller", "adviser", "auditor", "manager", "support", "back-office")  # the first people of a block
SUSPENDED, RISKY, LIMITED = (17, 53), 29, range(60, PEOPLE)
RISKY_AGENT, RETIRED_AGENT = 6, 7
PERSON_LIMIT, AGENT_LIMIT = 2_000, 1_000


def document(principals: int) -> dict[str, Any]:
    """The data of a bank with so many principals, a multiple of a hundred, as read from a file: no text is shared."""
    records: dict[str, Any] = {}
    accounts: dict[str, Any] = {}
    risk: dict[str, str] = {}
    for block in range(principals // BLOCK):
        records |= _block(block)
        accounts |= {account(block, one): {"owner": person(block, one)} for one in range(PEOPLE)}
        risk |= {person(block, RISKY): "high", agent(block, RISKY_AGENT): "high"}
    roles = {f"{job}-{branch}": may for job, may in JOBS.items() for branch in range(BRANCHES)}
    made = {"principals": records, "roles": roles, "accounts": accounts, "risk": risk}
    read: dict[str, Any] = json.loads(json.dumps(made))
    return read


def _block(block: int) -> dict[str, Any]:
    people = {person(block, one): _person(block, one) for one in range(PEOPLE)}
    agents = {agent(block, one): _agent(one) for one in range(AGENTS)}
    return people | agents | {workload(block, one): {"status": "active"} for one in range(WORKLOADS)}


def _person(block: int, one: int) -> dict[str, Any]:
    jobs = ("customer", STAFF[one]) if one < len(STAFF) else ("customer",)
    roles = [f"{job}-{block % BRANCHES}" for job in jobs]
    record = {"status": "suspended" if one in SUSPENDED else "active", "roles": roles}
    return record | ({"limit": PERSON_LIMIT} if one in LIMITED else {})


def _agent(one: int) -> dict[str, Any]:
    return {"status": "retired" if one == RETIRED_AGENT else "active", "limit": AGENT_LIMIT}


def person(block: int, one: int) -> str:
    """Id of a person of a block."""
    return f"person:{block:05}{one:02}"


def account(block: int, one: int) -> str:
    """Number of that person's account."""
    return f"{block:05}{one:02}"


def agent(block: int, one: int) -> str:
    """Id of an agent of a block."""
    return f"agent:bot-{block:05}{one}"


def workload(block: int, one: int) -> str:
    """Id of a workload of a block."""
    return f"workload:spiffe://bank.example/batch-{block:05}{one}"
