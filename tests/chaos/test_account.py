"""The account finds each kind of fault that it is there for."""

from __future__ import annotations

import ipaddress

import pytest

from defense_lines.agent.prefix import packed
from tests.chaos.account import LATE, Account, Asked, drift
from tests.chaos.record import Ended

NEVER = (ipaddress.ip_network("192.0.2.0/24"), ipaddress.ip_network("2001:db8:feed::/48"))
HERE = packed("198.18.0.1")


@pytest.fixture
def account() -> Account:
    return Account(NEVER)


def accepted(account: Account, ttl: float = 10.0, block_id: str = "b-1") -> Asked:
    asked = account.ask("address", "198.18.0.1", ttl, now=1_000.0)
    account.answered(asked, "accepted", block_id, now=1_001.0)
    return asked


def recorded(expires: float = 1_010.5, lifted: bool = False, block_id: str = "b-1") -> dict[str, Ended]:
    return {block_id: Ended(block_id, HERE, expires, lifted)}


def test_what_was_acknowledged_has_to_be_on_record(account: Account) -> None:
    asked = accepted(account)
    assert account.lost(recorded()) == []
    assert account.lost({}) == [asked]


def test_so_has_a_lift(account: Account) -> None:
    asked = accepted(account)
    asked.lifted = True
    assert account.lost(recorded(lifted=True)) == []
    assert account.lost(recorded()) == [asked]


def test_what_nobody_acknowledged_may_be_on_record_or_not(account: Account) -> None:
    account.answered(account.ask("address", "198.18.0.1", 10.0, now=1_000.0), "unknown", "", now=1_001.0)
    assert account.lost({}) == []
    assert account.lost(recorded()) == []


def test_a_block_is_late_a_second_after_its_end(account: Account) -> None:
    accepted(account)
    account.look("fw-1", [HERE], 1_011.0 + LATE, 1_011.0 + LATE)
    assert not account.late
    account.look("fw-1", [HERE], 1_011.0 + LATE + 0.01, 1_011.0 + LATE + 0.01)
    assert account.late.keys() == {("fw-1", HERE)}


def test_the_ledger_knows_the_end_better_than_who_asked(account: Account) -> None:
    accepted(account)
    account.look("fw-1", [HERE], 1_011.0 + LATE, 1_011.0 + LATE)
    assert account.late_by_record(recorded(expires=1_011.0).values()) == {}
    assert account.late_by_record(recorded(expires=1_010.9).values()).keys() == {("fw-1", HERE)}


def test_the_last_block_on_a_network_counts(account: Account) -> None:
    accepted(account)
    accepted(account, ttl=60.0, block_id="b-2")
    account.look("fw-1", [HERE], 1_050.0, 1_050.0)
    assert not account.late


def test_what_was_refused_or_never_asked_for_is_late_at_once(account: Account) -> None:
    account.answered(account.ask("address", "198.18.0.1", 10.0, now=1_000.0), "refused", "", now=1_000.0)
    account.look("fw-1", [HERE, packed("198.18.0.2")], 1_000.0, 1_000.0)
    assert len(account.late) == 2


def test_what_was_enforced_and_is_gone_before_its_end_is_a_gap(account: Account) -> None:
    asked = accepted(account)
    account.look("fw-1", [HERE], 1_002.0, 1_002.1)
    account.look("fw-2", [], 1_002.0, 1_002.1)  # was not told yet
    asked.lift_asked = True
    account.look("fw-1", [], 1_003.0, 1_003.1)
    assert not account.gaps
    asked.lift_asked = False
    account.look("fw-1", [HERE], 1_004.0, 1_004.1)
    account.look("fw-1", [], 1_005.0, 1_005.1)
    assert account.gaps.keys() == {("fw-1", HERE)}


def test_what_ends_leaves_no_gap(account: Account) -> None:
    accepted(account)
    account.look("fw-1", [HERE], 1_002.0, 1_002.1)
    account.look("fw-1", [], 1_009.0, 1_009.6)
    assert not account.gaps


@pytest.mark.parametrize("never", ["192.0.2.7", "192.0.0.0/16", "2001:db8:feed::/64", "2001:db8::/32"])
def test_what_may_never_be_blocked_is_seen_in_any_network_around_it(account: Account, never: str) -> None:
    account.look("fw-1", [packed(never), HERE], 1_000.0, 1_000.0)
    assert account.violations.keys() == {("fw-1", packed(never))}


@pytest.mark.parametrize(
    ("held", "record", "differs"),
    [
        ({HERE: 2_000.0}, recorded(expires=2_000.5), False),
        ({HERE: 2_000.0}, recorded(expires=2_002.0), True),
        ({}, recorded(expires=2_000.0), True),
        ({HERE: 2_000.0}, {}, True),
        ({HERE: 2_000.0}, recorded(expires=2_000.0, lifted=True), True),
        ({}, recorded(expires=1_500.5), False),  # ends at this moment
    ],
)
def test_a_line_differs_from_the_ledger(held: dict[bytes, float], record: dict[str, Ended], differs: bool) -> None:
    assert bool(drift(held, record.values(), now=1_500.0, exact=1.2)) is differs
