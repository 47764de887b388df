"""A bank's own labelled events: what is read, how it is parted, what is refused, and a model made of it."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from detectors import DataRefused, Evaluation, Shelf, access_traffic, flow_traffic
from detectors.models import ACCESS, FLOW, TASKS, compare, read, simulated_part, train
from detectors.models.labels import beside
from detectors.simulator import VERSION
from telemetry import concatenate, json_line

NOW = 2e9
TASK = TASKS["flow"]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two minutes at a sensor, gzipped, with some lines that say nothing and labels for every scanner."""
    file = tmp_path_factory.mktemp("data") / "flows.json.gz"
    parts = list(flow_traffic(5, seconds=120.0, step=10.0, hosts=200))
    batch = concatenate([part.batch for part in parts])
    lines = [json_line(event) for event in batch.events()]
    other = [b"junk", json.dumps({"time": 1e9, "kind": 3, "source": "eve", "address": "10.0.0.1"}).encode()]
    nobody = [json.dumps({"time": 1e9, "kind": 2, "source": "eve"}).encode()]
    file.write_bytes(gzip.compress(b"\n".join([*lines, *other, *nobody]), 1))
    hostile = np.concatenate([part.hostile for part in parts])
    scanners = {batch.address.text(row) for row in np.flatnonzero(hostile).tolist()}
    labels = [json.dumps({"address": who, "since": "2020-01-01", "note": "scan"}) for who in sorted(scanners)]
    beside(file).write_text("\n".join(labels) + "\n\n")
    return file


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """Four flows of two addresses."""
    file = tmp_path / "few.json"
    rows = [{"time": 1e9 + row, "kind": 2, "source": "zeek", "address": f"10.0.0.{row % 2}"} for row in range(4)]
    file.write_text("\n".join(map(json.dumps, rows)))
    return file


def labelled(file: Path, *labels: Any) -> Path:
    beside(file).write_text("\n".join(map(json.dumps, labels)))
    return file


def test_what_cannot_be_used_is_counted(recorded: Path) -> None:
    data = read([recorded], TASK, NOW)
    (file,) = data.files
    assert file.left_out == {"not_json": 1, "of another kind, or about nobody": 2}
    assert (file.events, file.hostile) == (len(data.batch), int(data.hostile.sum()))
    assert 0 < file.hostile < file.events
    assert (np.diff(data.batch.time) >= 0).all()


def test_nobody_is_in_two_parts_and_everybody_in_one(recorded: Path) -> None:
    data = read([recorded], TASK, NOW)
    seen, events = list[set[str]](), 0
    parts = data.parts(TASK, 1)
    for stretch in (parts.training, parts.validation, parts.test):
        batches = list(stretch.play())
        events += sum(len(part.batch) for part in batches)
        seen.append({text for part in batches for text in part.batch.address})
        assert any(part.hostile.any() for part in batches)
    assert events == len(data.batch)
    assert sum(map(len, seen)) == len(set.union(*seen)) == len(set(data.batch.address))
    other = data.parts(TASK, 2)
    assert {text for part in other.training.play() for text in part.batch.address} != seen[0]


def test_a_model_of_recorded_traffic_says_so_and_is_judged_on_other(recorded: Path, models: Path) -> None:
    data = read([recorded], TASK, NOW)
    model = train(TASK, 3, data.parts(TASK, 3))
    lineage = model.card.lineage
    assert (lineage.simulator, lineage.files, lineage.seed) == ("", data.files, 3)
    assert sum(part.events for part in lineage.traffic) == data.files[0].events
    assert model.card.revision == train(TASK, 3, data.parts(TASK, 3)).card.revision
    told = compare(model, Shelf(models).in_force(FLOW), simulated_part(TASK, 5, 3), NOW)
    assert told.against == Shelf(models).in_force(FLOW).card.revision
    assert isinstance(told.standing, Evaluation)
    assert told.result.attackers == told.standing.attackers > 0
    with pytest.raises(DataRefused, match=rf"flows\.json\.gz: {model.card.revision} was trained on it"):
        compare(model, None, data.whole(TASK), NOW)
    with pytest.raises(DataRefused, match=f"simulator {VERSION}, seed 12: {told.against} was trained on it"):
        compare(model, Shelf(models).in_force(FLOW), simulated_part(TASK, 1, 2), NOW)


def test_too_little_is_refused(small: Path) -> None:
    data = read([labelled(small, {"address": "10.0.0.1"})], TASK, NOW)
    with pytest.raises(DataRefused, match=r"few\.json: 1 attackers: a part would have 0, and 2 are needed"):
        data.parts(TASK, 1)


def test_a_file_without_attackers_judges_nobody(small: Path, models: Path) -> None:
    model = Shelf(models).in_force(FLOW)
    with pytest.raises(DataRefused, match=r"few\.json: no attacker in it"):
        compare(model, None, read([labelled(small)], TASK, NOW).whole(TASK), NOW)
    both = labelled(small, {"address": "10.0.0.0"}, {"address": "10.0.0.1"})
    data = read([both], TASK, NOW)
    assert data.hostile.all()


@pytest.mark.parametrize(
    ("label", "hostile"),
    [
        ({"address": "10.0.0.1"}, [False, True, False, True]),
        ({"address": "10.0.0.1", "since": 1e9 + 2}, [False, False, False, True]),
        ({"address": "10.0.0.1", "until": "2001-09-09T01:46:42Z"}, [False, True, False, False]),
        ({"address": "10.0.0.0", "since": "2001-09-09T01:46:42"}, [False, False, True, False]),
    ],
)
def test_a_label_says_who_and_when(small: Path, label: dict[str, Any], hostile: list[bool]) -> None:
    assert read([labelled(small, label)], TASK, NOW).hostile.tolist() == hostile


@pytest.mark.parametrize(
    ("label", "why"),
    [
        ({"address": "10.0.0.9"}, r"few\.json\.labels: no event is what this label says"),
        ({"address": "10.0.0.1", "since": 1.5e9}, "no event"),
        ({"since": 1e9}, r"few\.json\.labels:1: says of nobody that it is hostile"),
        ({"adress": "10.0.0.1"}, r"few\.json\.labels:1: not a label: .*adress"),
        ({"address": "10.0.0.1", "since": "yesterday"}, "not a label"),
        ([], "not a label"),
    ],
)
def test_a_label_that_says_nothing_is_refused(small: Path, label: Any, why: str) -> None:
    with pytest.raises(DataRefused, match=why):
        read([labelled(small, label)], TASK, NOW)


def test_files_that_are_missing_or_unknown_are_refused(small: Path, tmp_path: Path) -> None:
    with pytest.raises(DataRefused, match=r"few\.json\.labels: No such file"):
        read([small], TASK, NOW)
    (tmp_path / "x").write_text("no telemetry")
    with pytest.raises(DataRefused, match="not EVE, Zeek"):
        read([labelled(tmp_path / "x")], TASK, NOW)
    with pytest.raises(DataRefused, match="no event that a model of access reads"):
        read([labelled(small)], TASKS["access"], NOW)
    (tmp_path / "junk").write_text('{"kind": 2}\n')
    for name in ("access", "flow"):
        with pytest.raises(DataRefused, match=f"junk: no event that a model of {name} reads"):
            read([labelled(tmp_path / "junk")], TASKS[name], NOW)


def test_requests_make_a_model_of_access(tmp_path: Path) -> None:
    """Labelled by actor and address, each from its first attack on."""
    parts = list(access_traffic(5, seconds=60.0, step=10.0, people_count=200))
    batch, hostile = concatenate([part.batch for part in parts]), np.concatenate([part.hostile for part in parts])
    file, since = tmp_path / "requests.json", dict[tuple[str, str], float]()
    file.write_bytes(b"\n".join(json_line(event) for event in batch.events()))
    for row in np.flatnonzero(hostile).tolist():
        since.setdefault((batch.actor.text(row), batch.address.text(row)), float(batch.time[row]))
    labels = [{"actor": actor, "address": address, "since": first} for (actor, address), first in since.items()]
    data = read([labelled(file, *labels)], TASKS["access"], NOW)
    model = train(TASKS["access"], 1, data.parts(TASKS["access"], 1))
    assert model.card.schema == ACCESS
    assert model.card.lineage.files[0].events == len(data.batch)
    assert 0 < model.card.test.attackers < model.card.test.honest
