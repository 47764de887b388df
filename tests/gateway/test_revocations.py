"""What a revocation refuses, against a plain list of revocations; and that none is forgotten for another."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from defense_lines import Revocation
from gateway.revocations import Revocations, RevocationsFull
from policy import Actor, Principal

IDP = "https://idp.example"
NOW = 1_000.0
DEVICE = "device_id"
NAMES = {
    "principal": "person:alice",
    "actor": "agent:bot",
    "subject": f"{IDP} alice",
    "login": f"{IDP} s-1",
    "token": f"{IDP} t-1",
    "key": "thumb",
    "device": "laptop-7",
    "email": "alice@bank.example",
}
ENDS_FOR_GOOD = {"login", "token", "key"}


def revocation(kind: str, value: str = "", before: float = 500, until: float = NOW + 60) -> Revocation:
    named = value or NAMES[kind]
    return Revocation(kind=kind, value=named, before=before, until=until, reason="r", by="policy:x", signal="")


def alice(**changes: Any) -> Principal:
    attributes = {"sid": "s-1", "cnf": {"jkt": "thumb"}, DEVICE: "laptop-7", "email": "alice@bank.example"}
    fields = {"id": "person:alice", "kind": "person", "issuer": IDP, "token": "t-1", "issued": 400.0}
    actors = (Actor("agent:front", "agent"), Actor("agent:bot", "agent"))
    return Principal(**{**fields, "actors": actors, "attributes": attributes, **changes})


def standing(*several: Revocation, most: int = 100) -> Revocations:
    revocations = Revocations(DEVICE, most)
    for each in several:
        revocations.put(each)
    return revocations


@pytest.mark.parametrize("kind", NAMES)
def test_each_kind_is_found_and_no_other_name_of_it(kind: str) -> None:
    wanted = revocation(kind)
    assert standing(wanted).find(alice(), NOW) == wanted
    assert standing(revocation(kind, NAMES[kind] + "x")).find(alice(), NOW) is None
    assert standing(wanted).find(alice(), NOW + 60) is None
    assert standing().find(alice(), NOW) is None


@pytest.mark.parametrize("kind", NAMES)
def test_what_was_issued_later_counts_but_for_what_ended_for_good(kind: str) -> None:
    revocations = standing(revocation(kind, before=500))
    assert revocations.find(alice(issued=500.0), NOW)
    assert bool(revocations.find(alice(issued=500.5), NOW)) == (kind in ENDS_FOR_GOOD)
    assert bool(revocations.find(alice(issued=0.0, authenticated=501.0), NOW)) == (kind in ENDS_FOR_GOOD)
    assert revocations.find(alice(issued=0.0, authenticated=499.0), NOW)
    assert revocations.find(alice(issued=0.0), NOW)  # nobody knows when


def test_another_issuers_names_are_others() -> None:
    revocations = standing(*map(revocation, ("subject", "login", "token")))
    assert revocations.find(alice(issuer="https://other.example"), NOW) is None


@pytest.mark.parametrize("odd", [{}, {"sid": 7, "email": None, DEVICE: ["x"], "cnf": "x"}, {"cnf": {"jkt": 1}}])
def test_claims_of_another_shape_name_nothing(odd: dict[str, Any]) -> None:
    revocations = standing(*map(revocation, ("login", "key", "device", "email")))
    assert revocations.find(alice(attributes=odd), NOW) is None


def test_the_subject_is_found_as_an_actor_too() -> None:
    assert standing(revocation("actor", "person:alice")).find(alice(actors=()), NOW)
    assert standing(revocation("principal", "agent:bot")).find(alice(), NOW) is None


def test_no_token_id_is_no_name() -> None:
    assert standing(revocation("token", f"{IDP} ")).find(alice(token=""), NOW) is None


def test_when_there_is_no_room_nothing_is_forgotten() -> None:
    revocations = standing(revocation("login"), revocation("email", until=NOW + 10), most=2)
    with pytest.raises(RevocationsFull):
        revocations.put(revocation("device"))
    assert revocations.find(alice(), NOW)
    assert len(revocations) == 2
    revocations.put(revocation("email"))  # in place of the shorter one
    with pytest.raises(RevocationsFull):
        revocations.put(revocation("email", before=600, until=NOW + 1))
    revocations.expire(NOW + 59)
    assert len(revocations) == 2
    revocations.expire(NOW + 60)
    assert len(revocations) == 0
    revocations.put(revocation("device", until=NOW + 100))
    assert revocations.find(alice(), NOW + 60)


kinds = st.sampled_from(sorted(NAMES))
several = st.lists(
    st.one_of(
        st.builds(
            lambda kind, other, before, until: revocation(kind, "other" if other else "", before, NOW + until),
            kinds,
            st.booleans(),
            st.integers(0, 6),
            st.integers(0, 9),
        ),
        st.floats(0, 9),  # seconds that pass
    ),
    max_size=30,
)


def naive(revocations: list[Revocation], who: Principal, now: float) -> list[Revocation]:
    """All that apply. Those who ask here have every name, or none but their id's."""
    named = (
        NAMES.items() if who.attributes else {"principal": who.id, "actor": who.id, "subject": f"{IDP} alice"}.items()
    )
    issued = who.issued or who.authenticated
    return [
        each
        for each in revocations
        if (each.kind, each.value) in named and each.until > now
        if each.kind in ENDS_FOR_GOOD or issued <= each.before
    ]


@given(several, st.integers(1, 8))
def test_it_is_a_list_of_revocations(plan: list[Revocation | float], most: int) -> None:
    revocations, kept, now = Revocations(DEVICE, most), list[Revocation](), NOW
    for step in plan:
        if isinstance(step, float):
            now += step
            revocations.expire(now)
        else:
            try:
                revocations.put(step)
                kept.append(step)
            except RevocationsFull:
                assert len(revocations) == most
        assert len(revocations) <= min(most, len(kept))
        for issued in range(8):
            for who in (alice(issued=float(issued)), alice(issued=float(issued), attributes={}, actors=(), token="")):
                found, wanted = revocations.find(who, now), naive(kept, who, now)
                assert found in wanted if wanted else found is None
