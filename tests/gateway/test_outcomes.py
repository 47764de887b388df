"""Who counts as harmed by a block: only who was identified, and only whom a block refuses."""

from __future__ import annotations

from defense_lines import Callers, GuardLimits, Request, Watches
from gateway.outcomes import outcomes
from policy import BlockPolicy, Cause, Target
from telemetry import Event, EventBatch, Kind

NOW = 1_800_000_000.0
PEOPLE = [f"person:{number}" for number in range(100)]
PUPPETS = [f"person:puppet-{number}" for number in range(20)]  # one attacker's accounts
MALLORYS = [f"2001:db8:bad::{number:x}" for number in range(1, 41)]  # one attacker's addresses
BLOCK = "b-0000000000000001"


def request(subject: str = "", outcome: str = "allow", status: int = 200, address: str = "", block: str = "") -> Event:
    return Event(
        time=NOW,
        kind=Kind.REQUEST,
        source="edge",
        subject=subject,
        actor=subject,
        address=address,
        outcome=outcome,
        name=block,
        status=status,
    )


def watched() -> Watches:
    """Half a minute of traffic, then a block of an attacker's address that is watched."""
    callers = Callers.nobody()
    for person in PEOPLE + PUPPETS:
        callers.hour.saw(person, person, f"198.51.100.{len(callers.hour) % 250}", "", NOW - 600)
    for address in MALLORYS:
        callers.hour.saw("person:mallory", "person:mallory", address, "", NOW - 600)
    watches = Watches(GuardLimits(), callers)
    for second in range(-30, 0):
        watches.saw(PEOPLE, (), (), NOW + second)
    target = Target("address", MALLORYS[0])
    cause = Cause(reason="scan", by="detector:access")
    watches.add(BlockPolicy(id=BLOCK, target=target, created=NOW, expires=NOW + 600, cause=cause), None, 3, None, NOW)
    return watches


def taken_back(hostile: list[Event]) -> bool:
    """Whether what an attacker sends, beside everybody's own requests, has the block lifted."""
    watches = watched()
    for second in range(1, 4):
        batch = EventBatch.of([*map(request, PEOPLE), *hostile])
        watches.saw(*outcomes(batch), NOW + second)
    return bool(watches.harmed(NOW + 4))


def test_nobody_lifts_a_block_by_requests_without_a_name_from_many_addresses() -> None:
    for outcome, status, block in (("deny", 401, ""), ("deny", 403, BLOCK), ("error", 503, ""), ("allow", 0, "")):
        assert not taken_back([request("", outcome, status, address, block) for address in MALLORYS])


def test_what_policy_refuses_is_no_blocks_doing() -> None:
    assert not taken_back([request(puppet, "deny", 403, "192.0.2.1") for puppet in PUPPETS])
    assert not taken_back([request(puppet, "step_up", 401, "192.0.2.1") for puppet in PUPPETS])


def test_what_an_older_block_refuses_is_not_the_new_ones_doing() -> None:
    assert not taken_back([request(puppet, "deny", 403, "192.0.2.1", "b-00000000000000ff") for puppet in PUPPETS])


def test_whom_the_block_refuses_and_whose_requests_fail_are_harm() -> None:
    assert taken_back([request(person, "deny", 403, MALLORYS[0], BLOCK) for person in PEOPLE[:20]])
    assert taken_back([request(person, "deny", 403, "192.0.2.1", BLOCK) for person in PEOPLE[:20]])
    assert taken_back([request(person, "error", 502, "192.0.2.1") for person in PEOPLE[:20]])
    assert taken_back([request(person, "deny", 503, "192.0.2.1") for person in PEOPLE[:20]])


def test_only_our_own_edge_is_believed_and_each_is_named_once() -> None:
    other = Event(time=NOW, kind=Kind.REQUEST, source="envoy:mesh", subject="person:1", outcome="error", status=502)
    ours = [request("person:2"), request("person:2"), request("person:3", "deny", 403, "192.0.2.1", BLOCK)]
    found = outcomes(EventBatch.of([other, *ours, *ours]))
    assert found == ({"person:2"}, set(), {Request("person:3", "person:3", "192.0.2.1", BLOCK)})
