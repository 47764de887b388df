"""The cast: who lives in the demo bank, what they own, and from which host they call."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
DATA = HERE / "data.json"  # the policy's data document: accounts with their owners, limits

ALICE = "person:alice"
BOB = "person:bob"
CAROL = "person:carol"
TINA = "person:tina"  # a teller
INVOICE_BOT = "agent:invoice-bot"  # acts for alice; taken over in step 4
LEDGER_BOT = "agent:ledger-bot"  # honest batch agent of carol
BATCH = "spiffe://bank.example/batch"  # a workload, by its X.509-SVID
AUDIENCE = "bank"
GATEWAY = "urn:portcullis:gateway"  # who signs transaction tokens
HTTP_SERVICE, GRPC_SERVICE = "accounts", "ledger"  # whom they are meant for
SCOPES = "accounts:read payments:write ledger:read"
STRONG = "urn:bank:strong"  # acr of a strong authentication

FOREIGN = tuple(str(number) for number in range(2000, 2400))  # accounts of other customers
CAROLS = tuple(str(number) for number in range(3000, 3200))


@dataclass(frozen=True, slots=True)
class Person:
    """A person as the issuer knows her; `limit` is what a teller may pay at once (whole units)."""

    customer: str = ""
    roles: tuple[str, ...] = ()
    limit: int = 0


@dataclass(frozen=True, slots=True)
class Agent:
    """An agent: for whom it may act, and how much it may pay at once (`limit`, whole units)."""

    acts_for: str
    limit: int


PERSONS = {
    ALICE: Person("c-alice"),
    BOB: Person("c-bob"),
    CAROL: Person("c-carol"),
    TINA: Person(roles=("teller",), limit=1000),
}
TOOLS = ("accounts.read", "payments.create", "ledger.read")
AGENTS = {INVOICE_BOT: Agent(ALICE, 200), LEDGER_BOT: Agent(CAROL, 0)}


def accounts() -> dict[str, dict[str, Any]]:
    """Every account: `{"1001": {"owner": "person:alice", "cents": 1250000}, …}`."""
    loaded: dict[str, dict[str, Any]] = json.loads(DATA.read_text())["accounts"]
    return loaded


def profiles(now: float) -> list[dict[str, Any]]:
    """What the bank registers of each agent, for a day from `now` (Unix seconds)."""
    made = {"owner": "team:payments", "purpose": "pays and reads", "model": "demo", "version": "1", "tools": TOOLS}
    return [
        {"id": name, **made, "expires": now + 86_400, "amounts": {"EUR": each.limit}, "may_act_for": [each.acts_for]}
        for name, each in AGENTS.items()
    ]


def agent(name: str) -> Agent | None:
    """The agent of that id; `agent:invoice-bot-7` is one more invoice bot."""
    return AGENTS.get(name) or (AGENTS[INVOICE_BOT] if name.startswith(f"{INVOICE_BOT}-") else None)
