"""What holds for every detector, whatever it detects: purity, empty columns, bounds, shapes, cuts, devices."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from detectors import Detector, Scores
from detectors.access import AccessDetector
from detectors.alerts import AlertDetector
from detectors.arrays import CPU, Arrays, arrays
from detectors.endpoints import EndpointDetector
from detectors.features import AccessFeatures, FlowFeatures
from detectors.features.pair import PairFeatures
from detectors.flows import FlowDetector
from detectors.models import ACCESS, FLOW, NAME, PAIR, Shelf
from detectors.names import NameDetector
from detectors.novelty import NoveltyDetector
from detectors.pairs import PairDetector
from detectors.simulator import Labelled, access_traffic, flow_traffic, pair_traffic
from detectors.simulator.names import simulated_names
from telemetry import Event, EventBatch, Kind, concatenate
from tests.detectors.strict_arrays import STRICT

Make = Callable[[int], Detector]
NAMES = ("access", "flow", "pair", "name", "alert", "endpoint", "novelty")


KINDS = dict(
    zip(NAMES, (Kind.REQUEST, Kind.FLOW, Kind.FLOW, Kind.DNS, Kind.ALERT, Kind.ENDPOINT, Kind.REQUEST), strict=True)
)
DISCOVERY = ("whoami", "net user", "ipconfig", "systeminfo", "nltest /dclist:bank")
STRANGE = simulated_names(9, 10, 60)[1].names


@pytest.fixture(params=NAMES)
def make(request: pytest.FixtureRequest, models: Path) -> Make:
    """A detector's constructor, given its capacity."""
    makers: dict[str, Make] = {
        "access": lambda capacity: AccessDetector(Shelf(models).in_force(ACCESS), capacity),
        "flow": lambda capacity: FlowDetector(Shelf(models).in_force(FLOW), capacity),
        "pair": lambda capacity: PairDetector(Shelf(models).in_force(PAIR), capacity),
        "name": lambda capacity: NameDetector(Shelf(models).in_force(NAME), capacity),
        "alert": AlertDetector,
        "endpoint": EndpointDetector,
        "novelty": NoveltyDetector,
    }
    return makers[str(request.param)]


def traffic(name: str, count: int = 300, subjects: int = 20) -> EventBatch:
    """Some events that a detector reads, with something to find among them."""
    kind = KINDS[name]
    rng = np.random.default_rng(7)
    times = 1e9 + np.cumsum(rng.exponential(0.1, count))
    who = rng.integers(0, subjects, count).tolist()
    return EventBatch.of(
        [
            Event(
                time=times[row],
                kind=kind,
                source="test",
                subject=f"person:p{who[row]}",
                actor=f"agent:a{who[row]}",
                address=f"10.0.0.{who[row]}",
                peer=_peer(name, row, who[row]),
                resource=_resource(kind, row),
                action="process_create" if kind == Kind.ENDPOINT else "GET",
                outcome=("deny", "S0", "NXDOMAIN", "SF")[row % 4],
                name=("T1003.001", "ET SCAN Nmap", "process_create")[row % 3],
                status=403 if row % 4 == 0 else 200,
                port=4444 if name == "pair" else row,
                severity=row % 5,
                bytes_in=row,
            )
            for row in range(count)
        ]
    )


def _peer(name: str, row: int, who: int) -> str:
    if name == "endpoint":
        return f"host-{who}"
    return f"45.0.0.{who}" if name == "pair" else f"10.1.0.{row % 250}"


def _resource(kind: Kind, row: int) -> str:
    if kind == Kind.DNS:
        return STRANGE[row % len(STRANGE)]
    return DISCOVERY[row % len(DISCOVERY)] if kind == Kind.ENDPOINT else f"/accounts/{row}"


def same(first: Scores, second: Scores) -> bool:
    return np.array_equal(first.hashes, second.hashes) and np.array_equal(first.values, second.values)


def test_scoring_and_explaining_change_nothing(make: Make) -> None:
    detector = make(100)
    batch = traffic(detector.name)
    detector.learn(batch)
    first = detector.score(batch)
    verdicts = detector.explain(first, batch, 5.0)
    assert same(first, detector.score(batch))
    assert verdicts == detector.explain(first, batch, 5.0)


def test_scores_have_the_promised_shape(make: Make) -> None:
    detector = make(100)
    batch = traffic(detector.name)
    detector.learn(batch)
    scores = detector.score(batch)
    assert len(scores) == len(set(scores.hashes.tolist())) == len(scores.values) == len(scores.rows) > 0
    assert scores.values.dtype == np.float64
    assert ((scores.values >= 0) & (scores.values <= 1)).all()
    assert ((scores.rows >= 0) & (scores.rows < len(batch))).all()
    assert 0 < detector.threshold <= 1


def test_verdicts_are_complete(make: Make) -> None:
    detector = make(100)
    batch = traffic(detector.name)
    detector.learn(batch)
    verdicts = detector.explain(detector.score(batch), batch, 5.0)
    assert verdicts
    assert len({verdict.id for verdict in verdicts}) == len(verdicts)
    for verdict in verdicts:
        assert verdict.id.startswith("v-")
        assert len(verdict.id) == 18
        assert (verdict.detector, verdict.time) == (detector.name, 5.0)
        assert verdict.subject
        assert verdict.model
        assert batch.time[0] <= verdict.since <= batch.time[-1]


def test_a_million_subjects_fit_in_600_megabytes(make: Make) -> None:
    """Of one kind; a million actors and a million addresses by their flows are together within a gigabyte."""
    assert sum(array.nbytes for array in arrays_of(make(1_000_000), set())) <= 600_000_000


def arrays_of(thing: Any, met: set[int]) -> Iterator[np.ndarray[Any, Any]]:
    """Every array that something of ours holds, but those that are a part of another."""
    if id(thing) in met:
        return
    met.add(id(thing))
    if isinstance(thing, np.ndarray) and not isinstance(thing.base, np.ndarray):
        yield thing
    for part in parts(thing):
        yield from arrays_of(part, met)


def parts(thing: Any) -> Iterable[Any]:
    if isinstance(thing, dict):
        return thing.values()
    if isinstance(thing, list | tuple):
        return thing
    ours = type(thing).__module__.startswith("detectors.")
    slots = (name for kind in type(thing).__mro__ for name in getattr(kind, "__slots__", ()))
    return [*vars_of(thing), *(getattr(thing, name) for name in slots if hasattr(thing, name))] if ours else ()


def vars_of(thing: Any) -> Iterable[Any]:
    return getattr(thing, "__dict__", {}).values()


def test_an_empty_batch_has_no_scores(make: Make) -> None:
    detector = make(10)
    nothing = EventBatch.of([])
    detector.learn(nothing)
    assert len(detector.score(nothing)) == 0
    assert detector.explain(detector.score(nothing), nothing, 5.0) == []


def test_columns_may_be_empty(make: Make) -> None:
    detector = make(10)
    bare = EventBatch.of([Event(time=1.0, kind=KINDS[detector.name], source="")] * 3)
    bare = bare.take(detector.mine(bare))
    detector.learn(bare)
    assert detector.explain(detector.score(bare), bare, 5.0) == []


def test_more_subjects_than_fit_are_forgotten_not_kept(make: Make) -> None:
    detector = make(16)
    for start in range(0, 200, 10):
        batch = traffic(detector.name, 200, 200).take(np.arange(start, start + 10))
        detector.learn(batch)
        scores = detector.score(batch)
        assert np.isfinite(scores.values).all()
    assert 0 < len(detector.state()["hashes"]) <= 16


def test_who_takes_over_a_state_says_the_same(make: Make) -> None:
    first, second = make(100), make(100)
    batch = traffic(first.name)
    first.learn(batch)
    second.restore(first.state())
    scores = first.score(batch)
    assert same(scores, second.score(batch))
    assert first.explain(scores, batch, 5.0) == second.explain(scores, batch, 5.0)
    more = traffic(first.name, 350).take(np.arange(300, 350))
    for detector in (first, second):
        detector.learn(more)
    assert same(first.score(more), second.score(more))


def test_a_smaller_one_keeps_the_most_interesting(make: Make) -> None:
    whole, small = make(100), make(8)
    batch = traffic(whole.name)
    busy = np.isin(batch.address.codes, (0, 1, 2))
    once = np.isin(np.arange(len(batch)), np.unique(batch.address.codes, return_index=True)[1])
    whole.learn(batch.take(busy | once))  # three do all that they do, the others one thing each
    state = whole.state()
    small.restore(state)
    told = batch.take(busy)
    assert same(whole.score(told), small.score(told))
    assert whole.explain(whole.score(told), told, 5.0) == small.explain(small.score(told), told, 5.0)
    assert len(small.state()["hashes"]) == 8 < len(state["hashes"])


def test_how_events_are_cut_into_batches_does_not_matter(make: Make) -> None:
    at_once, in_pieces = make(65_536), make(65_536)  # so that no filter takes a new thing for a known one
    batch = traffic(at_once.name)
    at_once.learn(batch)
    for piece in np.array_split(np.arange(len(batch)), 37):
        in_pieces.learn(batch.take(piece))
    one, other = at_once.score(batch), in_pieces.score(batch)
    assert np.array_equal(one.hashes, other.hashes)
    np.testing.assert_allclose(one.values, other.values, rtol=1e-4)  # a tree may cut between two roundings


@pytest.mark.parametrize("kind", ["access", "flow", "pair"])
def test_simulated_features_do_not_depend_on_cuts(kind: str) -> None:
    streams: dict[str, tuple[Any, Iterable[Labelled]]] = {
        "access": (AccessFeatures, access_traffic(3, 60.0, 1.0, 60)),
        "flow": (FlowFeatures, flow_traffic(3, 60.0, 1.0, 40)),
        "pair": (PairFeatures, pair_traffic(3, 1800.0, 30.0)),
    }
    features, stream = streams[kind]
    batches = [labelled.batch for labelled in stream]
    at_once, in_pieces = features(262_144), features(262_144)
    whole = concatenate(batches)
    at_once.learn(whole)
    for batch in batches:
        in_pieces.learn(batch)
    hashes = at_once.of(whole)[0].hashes
    np.testing.assert_allclose(at_once.matrix(hashes), in_pieces.matrix(hashes), rtol=1e-5, atol=1e-5)


def _equal(there: Arrays) -> None:
    """Features of each kind, batch after batch, here and there; and what is kept goes from one to the other."""
    streams = (
        (AccessFeatures, access_traffic(4, 60.0, 1.0, 60)),
        (FlowFeatures, flow_traffic(4, 60.0, 1.0, 60)),
        (PairFeatures, pair_traffic(4, 900.0, 60.0)),
    )
    for make, stream in streams:
        here, other = make(65_536), make(65_536, there)
        for labelled in stream:
            here.learn(labelled.batch)
            other.learn(labelled.batch)
            groups, matrix = other.of(labelled.batch)
            np.testing.assert_allclose(there.host(matrix), here.of(labelled.batch)[1], rtol=1e-5, atol=1e-5)
            assert np.array_equal(there.host(groups.hashes), here.of(labelled.batch)[0].hashes)
        again = make(65_536)
        again.restore(other.state())
        hashes = again.of(labelled.batch)[0].hashes
        np.testing.assert_allclose(again.matrix(hashes), here.matrix(hashes), rtol=1e-5, atol=1e-5)


def test_the_strict_namespace_is_strict() -> None:
    there, here = STRICT.xp.asarray([1.0, 2.0]), np.ones(2)
    mixed: list[Callable[[], object]] = [
        lambda: there + here,
        lambda: here + there,
        lambda: STRICT.xp.maximum(there, here),
        lambda: here[there],
    ]
    for operation in mixed:
        with pytest.raises((TypeError, IndexError)):
            operation()
    assert STRICT.host(there * 2 + 1).tolist() == [3.0, 5.0]


def test_features_touch_their_device_through_its_namespace_alone() -> None:
    _equal(STRICT)


def test_a_gpu_computes_the_same_features() -> None:
    gpu = arrays("gpu") if importlib.util.find_spec("cupy") else CPU
    if gpu.device != "gpu":
        pytest.skip("needs a GPU")
    _equal(gpu)


def test_a_gpu_that_is_not_there_is_replaced_visibly(monkeypatch: pytest.MonkeyPatch) -> None:
    from detectors import arrays as module

    monkeypatch.setattr(module, "_cupy", lambda: (None, "no driver"))
    before = module.FALLBACKS._value.get()
    assert arrays("gpu") == CPU
    assert module.FALLBACKS._value.get() == before + 1
