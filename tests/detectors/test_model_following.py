"""A promoted model is taken up between two batches, by detectors that forget nobody."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest

from detectors import Model, ModelRefused, Pipeline, Recorded, Shelf, Verdict, default_pipeline, flow_traffic, work
from detectors.models import FLOW, NAME, Following, add, promote, roll_back
from detectors.models.following import REFUSED
from detectors.simulator import simulated_names
from telemetry import Kind

AT: dict[str, Any] = {"time": 2e9, "by": "operator:jo", "reason": "ticket 4711"}


@pytest.fixture
def shelf(models: Path, tmp_path: Path) -> Shelf:
    """A shelf of its own, with the default models in force."""
    return Shelf(shutil.copytree(models, tmp_path / "models"))


def promoted(shelf: Shelf, threshold: float) -> str:
    """Put a revision in force that has another threshold."""
    model = shelf.in_force(FLOW)
    other = Model(model.booster, msgspec.structs.replace(model.card, threshold=threshold).sealed())
    revision = add(shelf, other)
    promote(shelf, revision, **AT, force=True)
    return revision


def test_what_detectors_know_outlives_a_promotion(shelf: Shelf) -> None:
    """Two hear the same; the one that takes up an equal model after its first verdict says the same as the other."""
    traffic = [labelled.batch for labelled in flow_traffic(9, seconds=60.0, step=1.0, hosts=40)]
    steady, changed = (default_pipeline(shelf.places.folder) for _ in range(2))
    before, told = shelf.in_force(FLOW).card, list[tuple[list[Verdict], list[Verdict]]]()
    revision = ""
    for batch in traffic:
        if any(first for first, _ in told) and not revision:
            revision = promoted(shelf, before.threshold - 1e-9)
            changed.look()
        now = float(batch.time[-1])
        told.append((steady.process([batch], now), changed.process([batch], now)))
    first, second = ([verdict for part in side for verdict in part] for side in zip(*told, strict=True))
    assert [(one.subject, one.score, one.evidence) for one in first] == [
        (one.subject, one.score, one.evidence) for one in second
    ]
    by_flows = [[one.model for one in side if one.detector == "flow"] for side in (first, second)]
    assert [set(models) for models in by_flows] == [{before.revision}, {before.revision, revision}]


def test_a_promoted_model_of_names_is_taken_up(shelf: Shelf, rows: Any) -> None:
    pipeline, names = default_pipeline(shelf.places.folder), simulated_names(9, 10, 60)[1].names[:30]
    model = shelf.in_force(NAME)
    other = Model(model.booster, msgspec.structs.replace(model.card, threshold=model.card.threshold - 1e-9).sealed())
    promote(shelf, add(shelf, other), **AT, force=True)
    pipeline.look()
    asked = rows(
        [1e9 + row for row in range(30)], kind=Kind.DNS, source="zeek", address="10.0.3.7", resource=list(names)
    )
    (verdict,) = pipeline.process([asked], 1e9 + 30)
    assert (verdict.detector, verdict.model) == ("name", other.card.revision)


def test_a_model_that_may_not_be_used_is_told_of_and_the_old_one_goes_on(shelf: Shelf) -> None:
    following = Following(shelf, FLOW)
    before, refused = following.model.card.revision, REFUSED.labels("flow")._value.get()
    card = shelf.places.revision(promoted(shelf, 0.9)) / "card.json"
    card.write_bytes(card.read_bytes().replace(b"0.9", b"0.1"))
    for _ in range(2):
        following.look()
        assert not following.turn()
    assert (following.model.card.revision, REFUSED.labels("flow")._value.get()) == (before, refused + 1)
    roll_back(shelf, "flow", **AT)
    revision = promoted(shelf, 0.91)
    following.look()
    assert following.turn()
    assert following.model.card.revision == revision


def test_of_two_promotions_between_two_batches_the_last_counts(shelf: Shelf) -> None:
    following = Following(shelf, FLOW)
    for threshold in (0.91, 0.92):
        revision = promoted(shelf, threshold)
        following.look()
    assert (following.turn(), following.turn()) == (True, False)
    assert following.model.card.revision == revision


def test_nothing_in_force_at_the_start_is_refused(shelf: Shelf) -> None:
    shelf.places.history("flow").unlink()
    with pytest.raises(ModelRefused, match="no flow model is in force"):
        default_pipeline(shelf.places.folder)


async def test_a_worker_looks_while_it_has_nothing_to_judge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("detectors.worker._LOOK", 0.0)
    looked, loop, stop = asyncio.Event(), asyncio.get_running_loop(), asyncio.Event()

    class Looking(Pipeline):
        def look(self) -> None:
            loop.call_soon_threadsafe(looked.set)

    task = asyncio.create_task(work(tmp_path / "nobody.sock", Recorded(Looking([]), tmp_path / "kept"), stop))
    await asyncio.wait_for(looked.wait(), 10)
    stop.set()
    await asyncio.wait_for(task, 10)
