"""Names as letters, languages and features; and the detector over DNS events."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors import Detector, Verdict
from detectors.features.labels import WIDTH, labels, registered
from detectors.features.names import NAMES, Languages
from detectors.models.naming import NameModel, train_names
from detectors.name_memory import NameMemory
from detectors.names import NameDetector
from detectors.simulator.names import chosen_names, simulated_names
from telemetry import EventBatch, Kind, Words

ORDINARY = ("www.wikipedia.org", "mail.google.com", "intranet-portal.co.uk", "bank-of-somewhere.com", "weather.com")
STRANGE = tuple(f"{name.partition('.')[0]}.com" for name in simulated_names(9, 10, 60)[1].names)


@pytest.fixture(scope="module")
def model() -> NameModel:
    return train_names(1)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("www.kvbdfwtq.co.uk", "kvbdfwtq.co.uk"),
        ("KVBDFWTQ.com.", "kvbdfwtq.com"),
        ("a.b.evil.ddns.net", "evil.ddns.net"),
        ("wpad", ""),
        ("8.8.8.8.in-addr.arpa", ""),
        ("10.0.0.1", ""),
        ("printer.local", ""),
        ("a..com", ""),
    ],
)
def test_what_somebody_registered(name: str, expected: str) -> None:
    assert registered(name) == expected
    assert bool(labels([name]).length[0]) == bool(expected)


@given(
    st.lists(st.one_of(st.text(max_size=90), st.from_regex(r"[a-z0-9-]{1,70}\.[a-z]{2,5}", fullmatch=True)), max_size=9)
)
def test_any_text_has_finite_features_that_depend_on_it_alone(texts: list[str]) -> None:
    known = labels(["wikipedia.org", "google.com", "xkqzv.biz", "qqzzkk.info"])
    languages = Languages.of(known, np.array([False, False, True, True]))
    matrix = languages.matrix(labels(texts))
    assert matrix.shape == (len(texts), len(NAMES))
    assert np.isfinite(matrix).all()
    for row, text in enumerate(texts):
        assert np.array_equal(languages.matrix(labels([text]))[0], matrix[row])


@given(st.text("abcdefghijklmnopqrstuvwxyz0123456789-", min_size=1, max_size=WIDTH))
def test_a_label_keeps_its_length_and_letters(label: str) -> None:
    found = labels([f"{label}.com", "b.com"])
    assert found.length.tolist() == [len(label), 1]
    assert (found.letters[0] > 0).sum() == len(label)


def test_simulated_names_are_the_same_for_the_same_seed_and_can_be_judged() -> None:
    first, again = simulated_names(3, 22, 5), simulated_names(3, 22, 5)
    assert first == again != simulated_names(4, 22, 5)
    assert len({origin.family for origin in first}) == 23
    names = [name for origin in first for name in origin.names]
    assert (labels(names).length > 0).mean() > 0.98


def test_the_same_seed_makes_the_same_model_and_it_survives_its_file(model: NameModel) -> None:
    again = NameModel.of(train_names(1).model)
    assert again.revision == model.revision
    names = [*ORDINARY, *STRANGE]
    assert np.array_equal(again.chance(names), model.chance(names))


def test_algorithms_names_are_told_from_peoples(model: NameModel) -> None:
    chosen = model.chance(chosen_names(np.random.default_rng(77), 3000))
    assert (chosen >= model.strange).mean() <= 0.02
    assert (model.chance(STRANGE) >= model.strange).mean() >= 0.9
    assert (model.chance(["wpad", "4.3.2.1.in-addr.arpa", ""]) == 0).all()


def test_each_name_is_judged_once_and_a_forgotten_one_the_same_again(model: NameModel) -> None:
    memory, tiny = NameMemory(model), NameMemory(model, places=2)
    words = Words.of([*ORDINARY, *STRANGE, *ORDINARY])
    first = memory.judge(words)
    assert memory.scored == len(words.values)
    second, small = memory.judge(words), tiny.judge(words)
    assert memory.scored == len(words.values)
    for other in (second, small, tiny.judge(words)):
        assert np.array_equal(first.chance, other.chance)
        assert np.array_equal(first.registered, other.registered)


def told(detector: NameDetector, batch: EventBatch) -> list[Verdict]:
    detector.learn(batch)
    scores = detector.score(batch)
    hot = np.flatnonzero(scores.values >= detector.threshold).tolist()
    return detector.explain(scores.take(hot), batch, 500.0)


def asked(rows: Any, names: list[str], outcome: str = "NOERROR", gap: float = 1.0, start: float = 10.0) -> EventBatch:
    batch: EventBatch = rows(
        [start + gap * row for row in range(len(names))],
        kind=Kind.DNS,
        source="zeek:branch-1",
        address="10.0.3.7",
        resource=names,
        outcome=outcome,
    )
    return batch


def test_many_strange_names_are_told_of_and_quoted(rows: Any, model: NameModel) -> None:
    names = list(STRANGE[:30])
    (verdict,) = told(NameDetector(model), asked(rows, names))
    assert (verdict.kind, verdict.subject, verdict.technique) == ("address", "10.0.3.7", "T1568.002")
    assert verdict.model == model.revision
    assert 10.0 <= verdict.since <= 15.0
    assert any(name in verdict.evidence[-1] for name in names)


def test_one_name_asked_a_hundred_times_says_nothing(rows: Any, model: NameModel) -> None:
    assert told(NameDetector(model), asked(rows, [STRANGE[0]] * 100, "NXDOMAIN")) == []


def test_a_hundred_ordinary_names_say_nothing(rows: Any, model: NameModel) -> None:
    names = [f"www.{name}" for name in chosen_names(np.random.default_rng(5), 300)]
    assert told(NameDetector(model), asked(rows, names)) == []


def test_strange_names_over_days_say_nothing(rows: Any, model: NameModel) -> None:
    assert told(NameDetector(model), asked(rows, list(STRANGE[:30]), gap=3600.0)) == []


def test_names_of_words_that_do_not_exist_are_told_of(rows: Any, model: NameModel) -> None:
    made = [
        name for origin in simulated_names(31, 80, 40) if origin.family.startswith("joined") for name in origin.names
    ]
    likely = [name for name in made if model.likely <= model.chance([name])[0] < model.strange][:25]
    assert len(likely) == 25
    assert told(NameDetector(model), asked(rows, likely)) == []
    (verdict,) = told(NameDetector(model), asked(rows, likely, "NXDOMAIN"))
    assert "do not exist" in verdict.evidence[0]


def test_an_answer_that_comes_after_its_question_counts(rows: Any, model: NameModel) -> None:
    detector = NameDetector(model)
    names = list(STRANGE[:30])
    assert len(told(detector, asked(rows, names, "query"))) == 1
    lost = asked(rows, names, "NXDOMAIN", start=10.5)
    assert "do not exist" in " ".join(told(detector, lost)[0].evidence)


def test_how_names_are_cut_into_batches_does_not_matter(rows: Any, model: NameModel) -> None:
    batch = asked(rows, [*STRANGE[:9], *ORDINARY, *STRANGE[5:20]], "NXDOMAIN")
    at_once, in_pieces = NameDetector(model, 50), NameDetector(model, 50)
    at_once.learn(batch)
    for piece in np.array_split(np.arange(len(batch)), 11):
        in_pieces.learn(batch.take(piece))
    np.testing.assert_allclose(at_once.score(batch).values, in_pieces.score(batch).values, rtol=1e-9)
    scores = at_once.score(batch)
    assert at_once.explain(scores, batch, 5.0) == in_pieces.explain(scores, batch, 5.0)


def test_nothing_to_judge_is_no_verdict(rows: Any, model: NameModel) -> None:
    detector = NameDetector(model, 10)
    for batch in (EventBatch.of([]), asked(rows, ["wpad", ""]), rows([1.0], kind=Kind.DNS, resource="x.com")):
        assert told(detector, batch) == []


def test_scoring_and_explaining_change_nothing(rows: Any, model: NameModel) -> None:
    detector: Detector = NameDetector(model, 50)
    batch = asked(rows, list(STRANGE[:12]), "NXDOMAIN")
    detector.learn(batch)
    scores = detector.score(batch)
    verdicts = detector.explain(scores, batch, 5.0)
    assert np.array_equal(scores.values, detector.score(batch).values)
    assert verdicts == detector.explain(scores, batch, 5.0)
    assert len(detector.score(asked(rows, ["unknown.com"]))) == 1


def test_more_addresses_than_fit_are_forgotten_with_their_names(rows: Any, model: NameModel) -> None:
    detector = NameDetector(model, 4)
    for start in range(0, 40, 4):
        addresses = [f"10.0.0.{start + place}" for place in range(4)]
        batch = rows([float(start)] * 4, kind=Kind.DNS, source="zeek", address=addresses, resource=list(STRANGE[:4]))
        detector.learn(batch)
    assert len(detector._quotes) <= 4
    gone = rows([40.0], kind=Kind.DNS, source="zeek", address="10.0.0.0", resource=STRANGE[0])
    (verdict,) = detector.explain(detector.score(gone), gone, 50.0)
    assert verdict.score < 0.01
    assert "such as" not in " ".join(verdict.evidence)
