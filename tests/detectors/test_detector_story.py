"""The demo's attack and its honest neighbours, through the whole pipeline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from detectors import Pipeline, Verdict, default_pipeline, flow_traffic, takeover
from telemetry import EventBatch


@pytest.fixture
def pipeline(models: Path) -> Pipeline:
    return default_pipeline(models)


def judge(pipeline: Pipeline, batch: EventBatch) -> list[Verdict]:
    """At the time of the batch's last event."""
    return pipeline.process([batch], float(batch.time[-1]))


@pytest.mark.parametrize("seed", range(5))
def test_a_taken_over_agent_is_caught_at_once_and_nobody_else(pipeline: Pipeline, seed: int) -> None:
    hostile, caught_after, verdicts = 0, 0, list[Verdict]()
    for labelled in takeover(seed):
        hostile += int(labelled.hostile.sum())
        told = judge(pipeline, labelled.batch)
        if told and not verdicts:
            caught_after = hostile
        verdicts += told
    assert {verdict.subject for verdict in verdicts} == {"agent:invoice-bot"}
    assert len(verdicts) == 1
    assert 1 <= caught_after <= 15
    first = verdicts[0]
    assert (first.kind, first.technique, first.on_behalf_of) == ("actor", "AML.T0053", "person:alice")
    assert (first.address, first.session) == ("10.0.0.7", "s-person:alice-agent:invoice-bot")
    assert "not its own" in " ".join(first.evidence)
    assert first.score >= first.threshold


@pytest.mark.parametrize(("rate", "seconds"), [(100.0, 0.3), (1.0, 30.0)])
@pytest.mark.parametrize("seed", range(5))
def test_fast_or_slow_it_is_caught_in_time(pipeline: Pipeline, seed: int, rate: float, seconds: float) -> None:
    first = None
    for labelled in takeover(seed, rate):
        if first is None and labelled.hostile.any():
            first = float(labelled.batch.time[labelled.hostile][0])
        verdicts = judge(pipeline, labelled.batch)
        if verdicts:
            assert {verdict.subject for verdict in verdicts} == {"agent:invoice-bot"}
            assert first is not None
            assert float(labelled.batch.time[-1]) - first < seconds
            return
    pytest.fail("not caught")


def test_mistyped_numbers_are_forgiven(pipeline: Pipeline, rows: Any) -> None:
    for step, account in enumerate((1001, 1001, 1010, 1100, 1001)):
        own = account == 1001
        who = {"subject": "person:bob", "actor": "person:bob", "address": "10.0.0.9"}
        batch = rows(
            [1e9 + step * 4],
            resource=f"/accounts/{account}",
            outcome="allow" if own else "deny",
            status=200 if own else 403,
            **who,
        )
        assert judge(pipeline, batch) == []


@pytest.mark.parametrize("known", [True, False])
def test_an_expired_session_is_forgiven(pipeline: Pipeline, rows: Any, known: bool) -> None:
    who = {"subject": "person:bob", "actor": "person:bob"} if known else {}
    times = [1e9 + 0.3 * step for step in range(8)]
    batch = rows(times, resource="/accounts/1002", outcome="deny", status=401, address="10.0.0.9", **who)
    assert judge(pipeline, batch) == []


def test_an_honest_agent_at_the_attackers_pace_is_left_alone(pipeline: Pipeline, rows: Any) -> None:
    rng = np.random.default_rng(0)
    times = 1e9 + np.cumsum(rng.exponential(0.02, 4000))
    for part in np.array_split(np.arange(4000), 800):
        batch = rows(
            times[part].tolist(),
            subject="person:carol",
            actor="agent:ledger-bot",
            resource=[f"/accounts/{3000 + row % 200}" for row in part],
            outcome=["error" if row % 97 == 0 else "allow" for row in part],
            status=[404 if row % 97 == 0 else 200 for row in part],
            bytes_out=900,
        )
        assert judge(pipeline, batch) == []


def test_scanners_are_named_by_address(pipeline: Pipeline) -> None:
    verdicts: list[Verdict] = []
    scanners: set[str] = set()
    for labelled in flow_traffic(9, seconds=120.0, step=1.0, hosts=60):
        codes = labelled.batch.address.codes[labelled.hostile]
        scanners |= {labelled.batch.address.values[code] for code in codes.tolist()}
        verdicts += [verdict for verdict in judge(pipeline, labelled.batch) if verdict.detector == "flow"]
    assert {verdict.subject for verdict in verdicts} == scanners
    assert {(verdict.kind, verdict.technique) for verdict in verdicts} == {("address", "T1046")}
    assert all(verdict.evidence for verdict in verdicts)
