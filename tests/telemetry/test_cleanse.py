from typing import Any

import pytest

from telemetry import HISTORY, Door, Event, EventBatch, Kind, Rejects, cleanse

NOW = 1_700_000_000.0
GOOD = Event(time=NOW, kind=Kind.FLOW, source="eve", address="10.0.0.1", bytes_in=1)


def row(**changes: Any) -> Event:
    columns = {name: getattr(GOOD, name) for name in GOOD.__struct_fields__}
    return Event(**(columns | changes))


def reasons(event: Event, **bounds: Any) -> list[str]:
    return [part.reason for part in cleanse(EventBatch.of([event]), NOW, **bounds)[1]]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"time": float("nan")}, "bad_time"),
        ({"time": float("inf")}, "bad_time"),
        ({"time": -1.0}, "bad_time"),
        ({"time": 22.3}, "too_old"),
        ({"time": NOW + 61}, "in_future"),
        ({"duration": -0.1}, "bad_duration"),
        ({"duration": float("nan")}, "bad_duration"),
        ({"duration": float("inf")}, "bad_duration"),
        ({"bytes_in": -1}, "negative_size"),
        ({"bytes_out": -1}, "negative_size"),
        ({"port": 65536}, "bad_port"),
        ({"status": -1}, "bad_status"),
        ({"severity": 5}, "bad_severity"),
        ({"kind": 9}, "bad_kind"),
        ({"address": "10.0.0.256"}, "bad_address"),
        ({"source": ""}, "bad_source"),
        ({"resource": "/" * 3000}, "long_text"),
    ],
)
def test_what_is_impossible_is_refused_for_its_reason(changes: dict[str, Any], reason: str) -> None:
    assert reasons(row(**changes)) == [reason]


@pytest.mark.parametrize(
    "changes",
    [{}, {"address": ""}, {"address": "fe80::1"}, {"time": NOW - 86_400}, {"time": NOW + 59}, {"port": 65535}],
)
def test_what_is_possible_passes(changes: dict[str, Any]) -> None:
    assert reasons(row(**changes)) == []


def test_imported_history_may_be_old_but_not_from_the_future() -> None:
    assert reasons(row(time=22.3), bounds=HISTORY) == []
    assert reasons(row(time=NOW + 61), bounds=HISTORY) == ["in_future"]


def test_a_clean_batch_is_passed_on_as_it_is() -> None:
    batch = EventBatch.of([GOOD])
    assert cleanse(batch, NOW) == (batch, ())


def test_a_row_is_refused_once_and_the_others_pass_in_order() -> None:
    batch = EventBatch.of([row(peer="1"), row(peer="2", time=-1.0, port=70000), row(peer="3")])
    clean, refused = cleanse(batch, NOW)
    assert list(clean.peer) == ["1", "3"]
    assert [(part.reason, list(part.rows.peer)) for part in refused] == [("bad_time", ["2"])]


def test_the_door_publishes_the_possible_and_keeps_some_of_the_rest_aside() -> None:
    published: list[EventBatch] = []
    rejects = Rejects(clock=lambda: NOW)
    door = Door(published.append, rejects, clock=lambda: NOW)
    door.publish(EventBatch.of([row(port=70000) for _ in range(300)] + [GOOD]))
    assert [list(batch.events()) for batch in published] == [[GOOD]]
    assert rejects.counts == {("eve", "bad_port"): 300}
    assert len(rejects.latest) == 256
    assert "70000" in rejects.latest[0].text


def test_the_door_publishes_no_empty_batch() -> None:
    published: list[EventBatch] = []
    Door(published.append, Rejects(), clock=lambda: NOW).publish(EventBatch.of([row(port=70000)]))
    assert published == []
