"""Stages of an attack: what adds up, what does not, whom it is about; and what is known of it outlives a worker."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors import Pipeline, Verdict, Verdicts, default_pipeline, flow_traffic
from detectors.alerts import AlertDetector
from detectors.attack_steps import STEPS
from detectors.correlation import THRESHOLD, Correlation
from detectors.discovery import ACCOUNTS, SYSTEMS
from detectors.endpoints import EndpointDetector
from detectors.simulator.days import honest_days
from detectors.stages import DAY, HINT, VERDICT, Stage, Stages, probability
from detectors.tactics import TACTICS, tactic
from telemetry import Event, EventBatch, Kind, Words, concatenate

NOW = 1e9
ALICE, HERE = "person:alice", "10.1.2.3"
SCAN, DUMP, MOVE, STUFF = "T1046", "T1003.001", "T1021.002", "T1110.004"
DULL = ("ET SCAN Suspicious inbound", "ET POLICY brute force?", "ET INFO exploit kit domain", "ET INFO STUN")
DETECTORS = ("access", "flow", "name", "alert", "endpoint")


def signal(technique: str, detector: str = "endpoint", score: float = 0.95, **changes: Any) -> Verdict:
    fields = {"kind": "principal", "subject": ALICE, "evidence": (f"{technique} was seen",)}
    return Verdict(
        **{
            "id": "v-1", "time": NOW, "detector": detector, "score": score, "threshold": 0.8, "technique": technique,
            "model": "m", "since": NOW, **fields, **changes,
        }
    )  # fmt: skip


def tell(correlation: Correlation, *signals: Verdict, at: float = NOW, apart: float = 60.0) -> list[Verdict]:
    """What is told after each of some signals, `apart` seconds from each other."""
    told = []
    for number, one in enumerate(signals):
        moment = at + number * apart
        correlation.joined([one], moment)
        told += correlation.told(moment)
    return told


def used(correlation: Correlation, who: str, address: str = HERE, count: int = 40) -> None:
    correlation.learn(
        [
            EventBatch.of(
                [
                    Event(time=NOW - count + n, kind=Kind.REQUEST, source="edge", subject=who, actor=who,
                          address=address, outcome="allow")
                    for n in range(count)
                ]
            )
        ]
    )  # fmt: skip


def test_two_stages_add_up_and_are_told_in_the_order_of_time() -> None:
    (told,) = tell(Correlation(), signal(MOVE), signal(DUMP))
    assert (told.detector, told.kind, told.subject, told.model) == ("correlation", "principal", ALICE, "rule:stages")
    assert (told.behind, told.confidence, told.technique, told.since) == (ALICE, 1.0, MOVE, NOW)
    assert told.score >= told.threshold == THRESHOLD
    assert told.evidence[0] == "2 stages of an attack within 1 min: lateral-movement, credential-access"
    assert [words.split()[2] for words in told.evidence[1:]] == ["lateral-movement", "credential-access"]
    assert told.evidence[1].endswith("T1021.002 was seen")


def test_it_is_told_again_when_a_stage_comes_to_it_and_not_before() -> None:
    told = tell(Correlation(), signal(MOVE), signal(DUMP), signal(DUMP), signal(MOVE), signal(SCAN, "flow"))
    assert [len(verdict.evidence) for verdict in told] == [3, 4]


@given(st.lists(st.tuples(st.sampled_from(DETECTORS), st.floats(0, 1)), max_size=60))
def test_one_stage_alone_never_adds_up(signals: list[tuple[str, float]]) -> None:
    correlation = Correlation()
    assert tell(correlation, *(signal(SCAN, detector, score) for detector, score in signals)) == []


@given(
    st.lists(st.tuples(st.sampled_from((SCAN, DUMP, MOVE, STUFF, "T1041", "T1486")), st.floats(0, 0.79)), max_size=60)
)
def test_scores_of_one_detector_that_are_no_verdicts_never_add_up(signals: list[tuple[str, float]]) -> None:
    assert tell(Correlation(), *(signal(technique, "access", score) for technique, score in signals)) == []


def test_scores_of_several_detectors_that_nearly_were_verdicts_add_up() -> None:
    nearly = [signal(SCAN, "flow", 0.78), signal(STUFF, "access", 0.78), signal("T1568.002", "name", 0.78)]
    (told,) = tell(Correlation(), *nearly)
    assert "below its threshold" in told.evidence[1]
    assert tell(Correlation(), *nearly[:2]) == []


def test_a_thousand_of_one_are_one() -> None:
    many = [signal(SCAN, "flow", 0.79), *[signal(SCAN, "flow", 0.95)] * 1000, signal(DUMP, "alert", 0.5)]
    assert tell(Correlation(), *many, apart=1.0) == []


def test_what_is_older_than_a_day_does_not_count() -> None:
    assert tell(Correlation(), signal(MOVE), signal(DUMP), apart=DAY + 1) == []
    assert tell(Correlation(), signal(MOVE), signal(DUMP), apart=DAY - 1)


@given(st.permutations([signal(MOVE), signal(DUMP), signal(SCAN, "flow", 0.6), signal("T1059", "alert", 0.7)]))
def test_the_order_of_signals_does_not_matter_to_what_they_add_up_to(signals: list[Verdict]) -> None:
    told = tell(Correlation(), *signals)
    assert told
    assert told[-1].technique == MOVE
    stages = Correlation()
    tell(stages, signal(MOVE), signal(DUMP), signal(SCAN, "flow", 0.6), signal("T1059", "alert", 0.7))
    assert len(stages._stages.cases[("principal", ALICE)].current()) == 4


@given(st.floats(0, 1), st.floats(0.01, 1), st.floats(0, 1))
def test_a_signal_says_no_more_than_its_cap_and_nothing_of_somebody_else(
    score: float, threshold: float, confidence: float
) -> None:
    stage = Stage(tactic="discovery", technique=SCAN, detector="flow", score=score, threshold=threshold,
                  confidence=confidence, since=0, time=0, words="")  # fmt: skip
    assert 1.0 <= stage.ratio <= (VERDICT if score >= threshold else HINT)
    assert probability([stage]) < THRESHOLD
    assert msgspec.structs.replace(stage, confidence=0.0).ratio == 1.0


def test_signals_of_an_address_are_those_of_who_surely_uses_it() -> None:
    correlation = Correlation()
    used(correlation, ALICE)
    at_address = signal(SCAN, "flow", kind="address", subject=HERE, address=HERE)
    (told,) = tell(correlation, at_address, signal(DUMP))
    assert (told.subject, told.behind, told.address) == (ALICE, ALICE, "")
    assert 0.9 < told.confidence < 1
    assert "about them with confidence 0.9" in told.evidence[1]
    (joined,) = correlation.joined([at_address], NOW)
    assert (joined.subject, joined.behind) == (HERE, ALICE)
    assert joined.evidence[1].startswith(f"{ALICE} used {HERE}")


def test_what_was_noted_of_an_address_goes_to_who_turns_out_to_use_it() -> None:
    correlation = Correlation()
    scan = signal(SCAN, "flow", kind="address", subject=HERE)
    correlation.joined([scan], NOW)
    used(correlation, ALICE)
    dumped = signal(DUMP, "alert", kind="address", subject=HERE)
    correlation.joined([dumped], NOW + 1)
    assert set(correlation._stages.cases) == {("principal", ALICE)}
    assert [verdict.subject for verdict in correlation.told(NOW + 1)] == [ALICE]


def test_what_an_earlier_user_of_the_address_did_does_not_go_along() -> None:
    correlation = Correlation()
    correlation.joined([signal(SCAN, "flow", kind="address", subject=HERE)], NOW - 7200)
    used(correlation, ALICE)
    assert tell(correlation, signal(DUMP, "alert", kind="address", subject=HERE)) == []


def test_stages_at_an_address_that_several_share_do_not_add_up() -> None:
    correlation = Correlation()
    for who in (ALICE, "person:bob"):
        used(correlation, who)
    shared = [signal(technique, "alert", kind="address", subject=HERE) for technique in (SCAN, DUMP)]
    assert tell(correlation, *shared) == []
    alone = [msgspec.structs.replace(one, subject="203.0.113.9") for one in shared]
    (told,) = tell(correlation, *alone)
    assert (told.kind, told.subject, told.behind, told.confidence) == ("address", "203.0.113.9", "", 0.0)


def test_an_agent_is_an_actor() -> None:
    (told,) = tell(Correlation(), *(signal(one, kind="actor", subject="agent:bot") for one in ("AML.T0053", DUMP)))
    assert (told.kind, told.subject) == ("actor", "agent:bot")


def test_a_technique_that_is_not_known_is_no_stage() -> None:
    assert tell(Correlation(), signal("", "alert"), signal("T9999", "alert"), signal(DUMP)) == []


def test_a_flood_of_entities_does_not_drive_out_a_case() -> None:
    stages = Correlation(capacity=64)
    tell(stages, signal(MOVE), signal(SCAN, "flow", 0.79))
    tell(stages, *(signal(SCAN, "flow", kind="address", subject=f"198.51.100.{n}") for n in range(1000)), apart=0.1)
    assert len(stages._stages.cases) <= 64
    assert tell(stages, signal(DUMP))


@given(st.lists(st.tuples(st.sampled_from((SCAN, DUMP, MOVE, STUFF)), st.sampled_from("abc"), st.floats(0.1, 1))),
       st.integers(0, 20))  # fmt: skip
def test_who_takes_over_a_state_tells_the_same(drawn: list[tuple[str, str, float]], at: int) -> None:
    signals = [signal(technique, "flow", score, subject=f"person:{who}") for technique, who, score in drawn]
    first, second = Correlation(), Correlation()
    tell(first, *signals[:at])
    second.restore(first.states())
    later = NOW + 1e4
    assert tell(first, *signals[at:], at=later) == tell(second, *signals[at:], at=later)


def test_a_smaller_one_keeps_the_likeliest() -> None:
    whole, small = Correlation(), Stages(1)
    tell(whole, *(signal(SCAN, "flow", subject=f"person:{n}") for n in range(9)), signal(MOVE), signal(DUMP))
    small.restore(whole.states()["stages"])
    assert set(small.cases) == {("principal", ALICE)}


def test_every_technique_that_our_rules_tell_has_its_tactic() -> None:
    ours = {step.technique for step in STEPS} | {ACCOUNTS, SYSTEMS, SCAN, STUFF, "T1190", "T1568.002", "AML.T0053"}
    assert all(tactic(technique) in TACTICS for technique in ours if technique)
    asked = ("T1110", "T1078", "T1055", "T1068", "T1548", "T1071", "T1041", "AML.T0051", "AML.T0024")
    assert all(map(tactic, asked))


def test_times_that_are_nonsense_are_told_of_without_a_fault() -> None:
    for moment in (-1e300, 0.0, 1e300):
        assert tell(Correlation(), signal(MOVE), signal(DUMP), at=moment, apart=0.0)


def test_the_pipeline_tells_of_stages_after_the_verdicts_they_are_made_of(rows: Any) -> None:
    pipeline = Pipeline([AlertDetector(), EndpointDetector()])
    session = rows([NOW + n for n in range(30)], actor=ALICE, subject=ALICE, address=HERE, outcome="allow", status=200)
    exploit = rows([NOW + 40], kind=Kind.ALERT, address=HERE, severity=4, name="ET EXPLOIT CVE-2021-44228")
    dumped = rows([NOW + 50], kind=Kind.ENDPOINT, actor=ALICE, subject=ALICE, peer="laptop-a", name="T1003.001")
    assert pipeline.process([session], NOW + 30) == []
    (alert,) = pipeline.process([exploit], NOW + 40)
    assert (alert.behind, alert.subject) == (ALICE, HERE)
    again = Pipeline([AlertDetector(), EndpointDetector()])
    again.restore(pipeline.states())
    told = again.process([dumped], NOW + 50)
    assert [verdict.detector for verdict in told] == ["endpoint", "endpoint", "correlation"]
    assert told == pipeline.process([dumped], NOW + 50)
    assert told[-1].subject == ALICE
    assert "initial-access, credential-access" in told[-1].evidence[0]


@pytest.fixture(scope="module")
def honest() -> list[EventBatch]:
    """A day of some people, hour by hour; and flows, dull alerts beside it that come from the addresses they use."""
    hours: dict[int, list[EventBatch]] = {}
    for labelled in honest_days(3, 1, people_count=40, agent_count=4, step=600.0):
        hours.setdefault(int(labelled.batch.time[0] // 3600), []).append(labelled.batch)
    beside = concatenate([one.batch.take(~one.hostile) for one in flow_traffic(3, 900.0, 60.0, 30)])
    return [_with(concatenate(parts), beside) for parts in hours.values()]


def _with(requests: EventBatch, beside: EventBatch) -> EventBatch:
    used = [address for address in requests.address.values if address]
    places = [used[number % len(used)] for number in range(len(beside.address.values))]
    moved = replace(
        beside,
        time=beside.time - beside.time[0] + requests.time[0],
        address=Words(beside.address.codes, places),
    )
    some = moved.take(np.arange(0, len(moved), 200))
    dull = replace(
        some,
        kind=np.full(len(some), Kind.ALERT, np.uint8),
        severity=np.ones(len(some), np.uint8),
        name=Words(np.arange(len(some), dtype=np.int32) % len(DULL), DULL),
    )
    return concatenate([requests, moved, dull])


def test_nobody_is_accused_on_an_honest_day(models: Path, honest: list[EventBatch]) -> None:
    pipeline = default_pipeline(models)
    told = [verdict for batch in honest for verdict in pipeline.process([batch], float(batch.time.max()))]
    assert [verdict for verdict in told if verdict.detector == "correlation"] == []


def test_a_confidence_that_is_none_does_not_pass_the_wire() -> None:
    for confidence in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match="confidence"):
            Verdicts([signal(SCAN, confidence=confidence)], 1)


def test_an_encoding_without_these_fields_is_read() -> None:
    old = {
        key: value for key, value in msgspec.to_builtins(signal(SCAN)).items() if key not in ("behind", "confidence")
    }
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(old), type=Verdict) == signal(SCAN)
