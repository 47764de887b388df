"""Properties of the features, whatever the events."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.arrays import CPU
from detectors.features import AccessFeatures, FlowFeatures, by_actor
from detectors.features.access import NAMES
from detectors.features.flow import NAMES as FLOW_NAMES
from telemetry import Event, EventBatch, Kind

times = st.one_of(
    st.floats(1.7e9, 1.7e9 + 3e5), st.floats(allow_nan=True, allow_infinity=True), st.sampled_from([0.0, -1.0, 1e300])
)
whole = st.integers(-(2**63), 2**63 - 1)
words = st.sampled_from(["", "person:a", "agent:b", "10.0.0.1", "/accounts/1", "/a", "\n", "\ud800", "9" * 600])


def events(kind: Kind, time: st.SearchStrategy[float]) -> st.SearchStrategy[list[Event]]:
    return st.lists(
        st.builds(
            Event,
            time=time,
            kind=st.just(kind),
            source=words,
            subject=words,
            actor=words,
            address=words,
            peer=words,
            resource=words,
            outcome=st.sampled_from(["", "allow", "deny", "error", "S0", "new timeout"]),
            status=st.integers(-32768, 32767),
            port=st.integers(-(2**31), 2**31 - 1),
            bytes_in=whole,
            bytes_out=whole,
            duration=st.floats(),
        ),
        max_size=30,
    )


def known(batch: EventBatch) -> EventBatch:
    """Rows that both kinds of features read."""
    return batch.take(np.array([bool(event.address) for event in batch.events()], bool))


def both() -> list[Any]:
    return [AccessFeatures(64), FlowFeatures(64)]


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_features_of_any_events_are_finite(data: st.DataObject) -> None:
    """Invariant: whatever the numbers, times and texts, every feature is finite and every shape as promised."""
    for kind, features, names in zip((Kind.REQUEST, Kind.FLOW), both(), (NAMES, FLOW_NAMES), strict=True):
        for _ in range(2):
            batch = known(EventBatch.of(data.draw(events(kind, times))))
            if len(batch):
                features.learn(batch)
        hashes = features.of(batch)[0].hashes if len(batch) else np.empty(0, np.uint64)
        matrix = features.matrix(hashes)
        assert matrix.shape == (len(hashes), len(names))
        assert np.isfinite(matrix).all()


@given(st.data(), st.integers(1, 7))
@settings(max_examples=40, deadline=None)
def test_features_do_not_depend_on_how_events_are_cut(data: st.DataObject, size: int) -> None:
    """Invariant: one batch or several, in the order of time, give the same features; a day may pass within a batch."""
    for kind, one, other in zip((Kind.REQUEST, Kind.FLOW), both(), both(), strict=True):
        batch = known(EventBatch.of(data.draw(events(kind, st.floats(1.7e9, 1.7e9 + 86_400)))))
        if not len(batch):
            continue
        batch = batch.take(np.argsort(batch.time, kind="stable"))
        one.learn(batch)
        for start in range(0, len(batch), size):
            other.learn(batch.take(np.arange(start, min(start + size, len(batch)))))
        hashes = one.of(batch)[0].hashes
        np.testing.assert_allclose(one.matrix(hashes), other.matrix(hashes), rtol=1e-5, atol=1e-5)


def of(features: AccessFeatures, batch: EventBatch) -> dict[str, float]:
    features.learn(batch)
    return dict(zip(NAMES, features.of(batch)[1][0].tolist(), strict=True))


def test_counts_shares_and_novelty_say_what_happened(rows: Any) -> None:
    batch = rows(
        [100.0, 100.1, 100.2, 100.3],
        actor="agent:b",
        resource=["/accounts/1", "/accounts/1/statements", "/accounts/2", "/accounts/3"],
        outcome=["allow", "allow", "deny", "deny"],
        status=[200, 200, 403, 403],
    )
    told = of(AccessFeatures(4), batch)
    assert told["requests_600s"] == pytest.approx(4, rel=1e-3)
    assert told["refused_share_600s"] == pytest.approx(0.5, rel=1e-3)
    assert told["foreign_600s"] == pytest.approx(2, rel=1e-3)
    assert told["novel_7200s"] == pytest.approx(3, rel=1e-3)
    assert told["new_paths_7200s"] == pytest.approx(4, rel=1e-3)
    assert (told["is_machine"], told["is_anonymous"]) == (1.0, 0.0)


def test_old_events_fade(rows: Any) -> None:
    features = AccessFeatures(4)
    features.learn(rows([100.0] * 50, actor="person:a", resource="/x", outcome="deny", status=403))
    told = of(features, rows([1300.0], actor="person:a", resource="/x", outcome="allow", status=200))
    assert told["requests_60s"] == pytest.approx(1, abs=1e-6)
    assert told["refused_600s"] == pytest.approx(50 * np.exp(-2), rel=1e-6)


def test_regular_gaps_vary_less_than_jittered_ones(rows: Any) -> None:
    rng = np.random.default_rng(1)
    regular = of(AccessFeatures(4), rows((100 + np.arange(200) * 0.02).tolist(), actor="a", resource="/x"))
    jitter = 100 + np.cumsum(rng.lognormal(-4, 1.0, 200))
    varying = of(AccessFeatures(4), rows(jitter.tolist(), actor="a", resource="/x"))
    assert regular["gap_spread"] < 0.01 < varying["gap_spread"]
    assert regular["gap_entropy"] < varying["gap_entropy"]


def test_who_is_not_known_is_judged_by_address(rows: Any) -> None:
    batch = rows([1.0, 2.0, 3.0], actor=["", "person:a", ""], address="10.0.0.1", status=401, outcome="deny")
    groups = by_actor(batch, CPU)
    assert groups.of_row.tolist() in ([0, 1, 0], [1, 0, 1])
    assert groups.last[groups.of_row].tolist() == [2, 1, 2]


def test_a_principal_is_not_the_address_of_the_same_text(rows: Any) -> None:
    batch = rows([1.0, 2.0], actor=["", "10.0.0.1"], address="10.0.0.1")
    assert len(by_actor(batch, CPU).hashes) == 2


def test_a_table_with_the_same_text_twice_is_one_subject(rows: Any) -> None:
    from dataclasses import replace

    from telemetry import Words

    batch = rows([1.0, 2.0], actor=["a", "b"], resource="/x")
    twice = replace(batch, actor=Words(batch.actor.codes, ("a", "a")))
    told = of(AccessFeatures(4), twice)
    assert told["requests_600s"] == pytest.approx(2, rel=1e-2)
