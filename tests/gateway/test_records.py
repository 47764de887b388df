"""What the console is shown of the last decisions: few, clipped, and never a body."""

from __future__ import annotations

import weakref

from gateway.records import Records
from policy import AccessRequest, Actor, Decision, Principal

ALICE = Principal(id="person:alice", kind="person", issuer="i", actors=(Actor("agent:bot", "agent"),))


class Body:
    """Something that is seen to be forgotten."""


def test_decisions_come_back_newest_first_without_what_the_caller_sent() -> None:
    records, bodies = Records(), weakref.WeakSet[Body]()
    for number in range(3000):
        bodies.add(body := Body())
        request = AccessRequest(
            principal=ALICE, action="POST", service="accounts", path="/" + "x" * 5000, body=body, time=float(number)
        )
        records.decided(request, Decision(id=f"d-{number}", effect="deny", reasons=("no_rule",), revision="r"))
    del request, body
    assert not bodies
    kept = records.decisions(10_000)
    assert (len(kept), kept[0]["id"]) == (2000, "d-2999")
    assert kept[0] == {
        "id": "d-2999", "time": 2999.0, "effect": "deny", "reasons": ["no_rule"], "obligations": {}, "revision": "r",
        "subject": "person:alice", "actors": ["agent:bot"], "action": "POST", "service": "accounts",
        "path": "/" + "x" * 511, "address": "",
    }  # fmt: skip
