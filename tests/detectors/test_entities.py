"""Who is behind an address or a host: shared, re-used and stolen ones; and who tries to have somebody else named."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.entities import NAMED, Behind, Entities
from detectors.features.sample import _FULL, _THIN, Sample
from detectors.verdict import SubjectKind
from telemetry import Event, EventBatch, Kind

START = 1e9
HERE, THERE = "10.1.2.3", "203.0.113.9"
ALICE, BOB, MALLORY = "person:alice", "person:bob", "person:mallory"
HOUR = 3600.0
AT_START = "09 September 01:46:40 UTC"


def seen(who: str, times: list[float], **columns: Any) -> EventBatch:
    """Requests that were let through, unless the columns say something else."""
    fixed = {"kind": Kind.REQUEST, "source": "edge", "address": HERE, "outcome": "allow", "status": 200, **columns}
    return EventBatch.of([Event(time=START + time, subject=who, actor=who, **fixed) for time in times])


def after(*batches: EventBatch, capacity: int = 1000) -> Entities:
    entities = Entities(capacity)
    for batch in batches:
        entities.learn(batch)
    return entities


def one(entities: Entities, kind: SubjectKind, subject: str, moment: float = 0.0) -> Behind:
    return entities.behind([(kind, subject)], START + moment)[0]


def behind(entities: Entities, moment: float, subject: str = HERE) -> Behind:
    return one(entities, "address", subject, moment)


def confidence(entities: Entities, moment: float, who: str, subject: str = HERE) -> float:
    found = behind(entities, moment, subject)
    return found.confidence if found.principal == who else 0.0


def test_one_who_uses_an_address_is_named_with_the_evidence() -> None:
    found = behind(after(seen(ALICE, list(range(40)))), 51)
    assert found.principal == ALICE
    assert found.confidence > 0.9
    assert found.evidence[0].startswith(
        f"{ALICE} used {HERE} in about 40 events of the last hour, the last 12 s before"
    )


def test_an_agent_is_named_not_whom_it_acts_for() -> None:
    rows = [
        Event(time=START + n, kind=Kind.REQUEST, source="edge", subject=ALICE, actor="agent:bot", address=HERE,
              outcome="allow") for n in range(9)
    ]  # fmt: skip
    assert behind(after(EventBatch.of(rows)), 9).principal == "agent:bot"


def test_nobody_is_named_where_nobody_was_seen() -> None:
    entities = after(seen(ALICE, [1.0]))
    assert behind(entities, 1, THERE) == Behind("", 0.0, 1.0, 0.0, ())
    assert one(entities, "principal", ALICE) == Behind("", 0.0, 1.0, 0.0, ())
    assert one(entities, "host", HERE).principal == ""


def lease(holder: str, time: float, address: str = HERE) -> EventBatch:
    event = Event(time=START + time, kind=Kind.LEASE, source="zeek", address=address, peer=holder, action="lease")
    return EventBatch.of([event])


def test_who_used_an_address_before_it_was_leased_to_another_is_not_behind_it() -> None:
    mine, renewed, other = lease("laptop-a", 0), lease("laptop-a", 100), lease("laptop-b", 200)
    entities = after(mine, seen(ALICE, [10.0 + n for n in range(40)]), renewed)
    assert behind(entities, 150).principal == ALICE
    assert behind(entities, 150).evidence[-1] == f"{HERE} is leased to laptop-a, as it calls itself, since {AT_START}"
    entities.learn(other)
    found = behind(entities, 210)
    assert (found.principal, len(found.evidence)) == ("", 1)
    assert "leased to laptop-b" in found.evidence[0]
    entities.learn(seen(BOB, [220.0 + n for n in range(40)]))
    assert behind(entities, 300).principal == BOB
    again = Entities(1000)
    again.restore(entities.state())
    assert behind(again, 300) == behind(entities, 300)


def test_of_two_leases_in_one_batch_the_later_holds() -> None:
    rows = [*lease("a", 0).events(), *lease("b", 1).events(), *lease("b", 2).events(), *lease("a", 1, THERE).events()]
    entities = after(seen(ALICE, [0.5]), EventBatch.of(rows))
    assert "leased to b, as it calls itself, since 09 September 01:46:41 UTC" in behind(entities, 9).evidence[0]
    assert "leased to a" in behind(entities, 9, THERE).evidence[0]


@given(st.integers(1, 12), st.integers(1, 60))
def test_of_equally_active_principals_each_has_at_most_its_share(many: int, events: int) -> None:
    entities = Entities(1000)
    entities.learn(seen(ALICE, []))
    for number in range(many):
        entities.learn(seen(f"person:p{number}", list(range(events))))
    found = behind(entities, events)
    assert found.confidence <= 1 / many
    assert found.crowd == pytest.approx(many, rel=1e-3)
    assert bool(found.principal) == (many == 1 and events > 1)


def test_behind_nat_nobody_is_named_and_the_evidence_says_who_may_be() -> None:
    entities = after(*(seen(f"person:p{number}", list(range(20))) for number in range(7)))
    found = behind(entities, 20)
    assert (found.principal, found.confidence) == ("", 0.0)
    assert "nobody is named" in found.evidence[0]
    assert "and 4 more" in found.evidence[0]


def test_who_asks_most_is_not_for_that_the_likelier_one() -> None:
    entities = after(seen(ALICE, list(np.linspace(0, 60, 2000))), seen(MALLORY, [10.0, 20.0, 30.0]))
    assert behind(entities, 60).principal == ""


@given(st.floats(0, 30 * HOUR), st.floats(0, 30 * HOUR))
def test_evidence_decays(first: float, second: float) -> None:
    entities = after(seen(ALICE, list(range(20))))
    sooner, later = sorted((first, second))
    assert confidence(entities, 20 + sooner, ALICE) >= confidence(entities, 20 + later, ALICE)
    assert behind(entities, 20 + 3 * HOUR).principal == ""


def test_an_address_that_went_to_another_is_the_others() -> None:
    entities = after(seen(ALICE, list(range(0, 600, 20))), seen(BOB, list(range(9000, 9600, 20))))
    assert behind(entities, 9600).principal == BOB
    assert behind(entities, 610).principal == ALICE  # as of then: what came later does not count
    assert behind(entities, 8000).principal == ""


def test_who_moves_is_named_at_the_new_address() -> None:
    moved = [
        seen(ALICE, list(range(60)), session="s-1"),
        seen(ALICE, list(range(61, 90)), session="s-1", address=THERE),
    ]
    entities = after(*moved)
    assert behind(entities, 90, THERE).principal == ALICE


def test_a_session_in_two_places_at_once_is_surely_hers_in_neither() -> None:
    times: list[float] = list(range(0, 60, 2))
    stolen = seen(ALICE, [time + 1 for time in times], session="s-1", address=THERE)
    entities = after(seen(ALICE, times, session="s-1"), stolen)
    for place, other in ((HERE, THERE), (THERE, HERE)):
        found = behind(entities, 60, place)
        assert (found.principal, found.confidence) == ("", 0.0)
        assert f"the same session of {ALICE} is in use at {other}" in found.evidence[1]


def test_two_sessions_of_one_person_are_two_devices() -> None:
    entities = after(seen(ALICE, [1, 2, 3], session="s-1"), seen(ALICE, [1, 2, 3], session="s-2", address=THERE))
    assert behind(entities, 4).principal == behind(entities, 4, THERE).principal == ALICE


@pytest.mark.parametrize(
    "tried",
    [{"outcome": "deny", "status": 403}, {"outcome": "deny", "status": 401}, {"outcome": "error", "status": 404},
     {"outcome": "allow", "status": 401}, {"outcome": "step_up", "status": 401}, {"kind": Kind.FLOW},
     {"kind": Kind.ALERT}],
)  # fmt: skip
def test_who_fails_as_somebody_does_not_become_them(tried: dict[str, Any]) -> None:
    entities = after(seen(ALICE, list(range(500)), address=THERE, **tried))
    assert behind(entities, 500, THERE) == Behind("", 0.0, 1.0, 0.0, ())


def test_a_host_that_lies_about_an_address_has_nobody_named_there() -> None:
    lies = {"kind": Kind.ENDPOINT, "peer": "laptop-m", "outcome": ""}
    entities = after(seen(ALICE, list(range(500)), address=THERE, **lies))
    assert behind(entities, 500, THERE).principal == ""
    assert one(entities, "host", "laptop-m", 500).principal == ALICE  # what it says of itself


def test_lies_do_not_outweigh_proof() -> None:
    lies = {"kind": Kind.ENDPOINT, "peer": "laptop-m", "outcome": ""}
    entities = after(seen(MALLORY, list(range(20))), seen(ALICE, list(range(500)), **lies))
    assert behind(entities, 500).principal == MALLORY


def test_a_flood_of_pairs_does_not_drive_out_the_truth() -> None:
    entities = after(seen(ALICE, list(range(40))), capacity=256)
    for start in range(0, 6000, 100):
        flood = [f"198.51.{number // 250}.{number % 250}" for number in range(start, start + 100)]
        rows = [
            Event(time=START + 60, kind=Kind.REQUEST, source="edge", subject=MALLORY, actor=MALLORY, address=address,
                  outcome="allow") for address in flood
        ]  # fmt: skip
        entities.learn(EventBatch.of(rows))
    assert behind(entities, 60).principal == ALICE
    assert len(entities.state()["hashes"]) <= 256
    assert len(entities._texts) <= 4 * 256 + 200


def population(count: int = 400) -> EventBatch:
    rng = np.random.default_rng(3)
    times, who, where = np.sort(rng.uniform(0, 7200, count)), rng.integers(0, 8, count), rng.integers(0, 5, count)
    return EventBatch.of(
        [
            Event(
                time=START + float(times[row]),
                kind=Kind.ENDPOINT if row % 5 == 0 else Kind.REQUEST,
                source="test",
                subject=f"person:p{who[row]}",
                actor=f"person:p{who[row]}",
                session=f"s-{who[row]}",
                address=f"10.0.0.{where[row]}",
                peer=f"host-{who[row]}" if row % 5 == 0 else "",
                outcome="deny" if row % 7 == 0 else "allow",
            )
            for row in range(count)
        ]
    )


def answers(entities: Entities, moment: float = 7200.0) -> list[Behind]:
    addresses: list[tuple[SubjectKind, str]] = [("address", f"10.0.0.{place}") for place in range(5)]
    hosts: list[tuple[SubjectKind, str]] = [("host", f"host-{who}") for who in range(8)]
    return entities.behind(addresses + hosts, START + moment)


def test_asking_changes_nothing() -> None:
    entities = after(population())
    before = {name: column.copy() for name, column in entities.state().items()}
    assert answers(entities) == answers(entities)
    assert all(np.array_equal(column, before[name]) for name, column in entities.state().items())


@given(st.lists(st.integers(0, 400), max_size=12))
def test_how_events_are_cut_into_batches_does_not_matter(cuts: list[int]) -> None:
    batch, at_once, in_pieces = population(), Entities(), Entities()
    at_once.learn(batch)
    for piece in np.split(np.arange(400), sorted(cuts)):
        in_pieces.learn(batch.take(piece))
    for one, other in zip(answers(at_once), answers(in_pieces), strict=True):
        assert (one.principal, one.since) == (other.principal, other.since)
        assert one.confidence == pytest.approx(other.confidence, rel=1e-4)


@given(st.integers(0, 400))
def test_who_takes_over_a_state_says_the_same(at: int) -> None:
    batch, first, second = population(), Entities(), Entities()
    first.learn(batch.take(np.arange(at)))
    second.restore(first.state())
    for entities in (first, second):
        entities.learn(batch.take(np.arange(at, 400)))
    assert answers(first) == answers(second)


def test_a_smaller_one_keeps_the_most_interesting() -> None:
    whole, small = after(population(), seen(ALICE, list(range(7200, 7250)))), Entities(2)
    small.restore(whole.state())
    assert len(small.state()["hashes"]) == 2
    assert behind(small, 7250) == behind(whole, 7250)
    assert len(small._texts) <= 4


def test_columns_may_be_empty_and_times_nonsense() -> None:
    bare = [Event(time=time, kind=kind, source="") for kind in Kind for time in (-1.0, 0.0, 1e300, float("nan"))]
    odd = [Event(time=time, kind=Kind.REQUEST, source="", actor=ALICE, address=HERE, outcome="allow")
           for time in (float("nan"), -1e300, 1e300)]  # fmt: skip
    entities = after(EventBatch.of([]), EventBatch.of(bare), EventBatch.of(odd))
    assert 0.0 <= behind(entities, 0).confidence <= 1.0


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 30_000)), min_size=1, max_size=6), st.data())
def test_a_sample_depends_on_no_cut_and_is_bounded(seconds: list[tuple[int, int]], data: st.DataObject) -> None:
    times = np.sort(np.concatenate([np.full(count, second, float) for second, count in seconds]))
    whole, parts, pieces = Sample(), Sample(), list[np.ndarray[Any, Any]]()
    taken = whole.take(times)
    begun = 0
    for cut in [*sorted(data.draw(st.lists(st.integers(0, len(times)), max_size=5))), len(times)]:
        pieces.append(begun + parts.take(times[begun:cut]))
        begun = cut
    assert np.array_equal(taken, np.concatenate(pieces))
    for second in np.unique(times):
        of_it = int((times == second).sum())
        assert int((times[taken] == second).sum()) <= min(of_it, _FULL + of_it // _THIN + 1)
        assert int((times[taken] == second).sum()) >= min(of_it, _FULL)


def test_named_is_one_alone() -> None:
    assert NAMED >= 0.5  # shares add up to 1 at most
