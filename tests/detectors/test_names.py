"""Names as letters, languages and features; and the detector over DNS events."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace as replace_struct

from detectors import Verdict
from detectors.features.labels import WIDTH, labels, registered
from detectors.features.names import NAMES, Languages
from detectors.features.quotes import Quotes
from detectors.models import NAME, Model, ModelRefused, NameModel, Shelf
from detectors.models.heard import Heard
from detectors.models.name_memory import NameMemory
from detectors.names import NameDetector
from detectors.simulator import name_traffic
from detectors.simulator.names import chosen_names, simulated_names
from telemetry import EventBatch, Kind

ORDINARY = ("www.wikipedia.org", "mail.google.com", "intranet-portal.co.uk", "bank-of-somewhere.com", "weather.com")
STRANGE = tuple(f"{name.partition('.')[0]}.com" for name in simulated_names(9, 10, 60)[1].names)


@pytest.fixture(scope="module")
def shipped(models: Path) -> Model:
    return Shelf(models).in_force(NAME)


@pytest.fixture(scope="module")
def model(shipped: Model) -> NameModel:
    return NameModel.of(shipped)


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


def test_a_model_without_its_languages_is_refused(shipped: Model) -> None:
    bare = shipped.booster.copy()
    bare.set_attr(languages=None)
    with pytest.raises(ModelRefused, match="without its languages"):
        NameModel.of(Model(bare, shipped.card))


def test_a_card_says_whose_words_it_learnt_and_what_a_name_alone_is_worth(shipped: Model) -> None:
    assert {"scapy", "tzdata", "unicode", "python"} < set(shipped.card.lineage.libraries)
    assert "Of one name alone" in shipped.card.limits[-1]
    assert shipped.card.test.attackers == 300
    assert shipped.card.test.true_positive_rate > 0.85


def test_families_are_who_asked_and_a_name_that_others_ask_for_is_nobodys() -> None:
    traffic = list(name_traffic(5, 60.0, families=4))
    people, *families = Heard.of(traffic).origins()
    made = {name for family in families for name in family.names}
    assert len(families) == 4
    assert not made & set(people.names)
    honest = [replace(labelled, hostile=labelled.hostile & False) for labelled in traffic]
    (everybody,) = Heard.of(honest).origins()
    assert made < set(everybody.names)


def test_algorithms_names_are_told_from_peoples(model: NameModel) -> None:
    chosen = model.chance(chosen_names(np.random.default_rng(77), 3000))
    assert (chosen >= model.strange).mean() <= 0.02
    assert (model.chance(STRANGE) >= model.strange).mean() >= 0.9
    assert (model.chance(["wpad", "4.3.2.1.in-addr.arpa", ""]) == 0).all()


def test_each_name_is_judged_once_and_a_forgotten_one_the_same_again(rows: Any, model: NameModel) -> None:
    memory, tiny = (NameMemory(model, capacity, 0, Quotes(4)) for capacity in (1000, 16))
    names = [*ORDINARY, *STRANGE[:9], *ORDINARY]
    first = memory.judge(asked(rows, names))
    second = memory.judge(asked(rows, [name.upper() for name in names]))
    assert memory.scored == len(set(names))
    tiny.judge(asked(rows, names))
    for start in (20, 40):
        tiny.judge(asked(rows, list(STRANGE[start : start + 14]), start=1000.0 + start))
    third = tiny.judge(asked(rows, names))
    assert tiny.scored > len(set(names)) + 2 * 14
    for other in (second, third):
        assert np.array_equal(first.chance, other.chance)
        assert np.array_equal(first.registered, other.registered)


def test_what_rows_do_not_use_is_not_judged(rows: Any, model: NameModel) -> None:
    memory = NameMemory(model, 100, 0, Quotes(4))
    memory.judge(asked(rows, list(STRANGE[:9])).take(np.array([2, 3, 2])))
    assert memory.scored == 2


def told(detector: NameDetector, batch: EventBatch) -> list[Verdict]:
    batch = batch.take(detector.mine(batch))
    detector.learn(batch)
    scores = detector.score(batch)
    hot = np.flatnonzero(scores.values >= detector.threshold)
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


def test_many_strange_names_are_told_of_and_quoted(rows: Any, shipped: Model) -> None:
    names = list(STRANGE[:30])
    (verdict,) = told(NameDetector(shipped), asked(rows, names))
    assert (verdict.kind, verdict.subject, verdict.technique) == ("address", "10.0.3.7", "T1568.002")
    assert verdict.model == shipped.card.revision
    assert 10.0 <= verdict.since <= 15.0
    assert any(name in verdict.evidence[-1] for name in names)


def test_one_name_asked_a_hundred_times_says_nothing(rows: Any, shipped: Model) -> None:
    assert told(NameDetector(shipped), asked(rows, [STRANGE[0]] * 100, "NXDOMAIN")) == []


def test_a_hundred_ordinary_names_say_nothing(rows: Any, shipped: Model) -> None:
    names = [f"www.{name}" for name in chosen_names(np.random.default_rng(5), 300)]
    assert told(NameDetector(shipped), asked(rows, names)) == []


def test_strange_names_over_days_say_nothing(rows: Any, shipped: Model) -> None:
    assert told(NameDetector(shipped), asked(rows, list(STRANGE[:30]), gap=3600.0)) == []


def test_names_of_words_that_do_not_exist_are_told_of(rows: Any, shipped: Model, model: NameModel) -> None:
    made = [
        name for origin in simulated_names(31, 80, 40) if origin.family.startswith("joined") for name in origin.names
    ]
    likely = [name for name in made if model.likely <= model.chance([name])[0] < model.strange][:25]
    assert len(likely) == 25
    assert told(NameDetector(shipped), asked(rows, likely)) == []
    (verdict,) = told(NameDetector(shipped), asked(rows, likely, "NXDOMAIN"))
    assert "do not exist" in verdict.evidence[0]


def test_an_answer_that_comes_after_its_question_counts(rows: Any, shipped: Model) -> None:
    detector = NameDetector(shipped)
    names = list(STRANGE[:30])
    assert len(told(detector, asked(rows, names, "query"))) == 1
    lost = asked(rows, names, "NXDOMAIN", start=10.5)
    assert "do not exist" in " ".join(told(detector, lost)[0].evidence)


def test_how_names_are_cut_into_batches_does_not_matter(rows: Any, shipped: Model) -> None:
    batch = asked(rows, [*STRANGE[:9], *ORDINARY, *STRANGE[5:20]], "NXDOMAIN")
    at_once, in_pieces = NameDetector(shipped, 50), NameDetector(shipped, 50)
    at_once.learn(batch)
    for piece in np.array_split(np.arange(len(batch)), 11):
        in_pieces.learn(batch.take(piece))
    np.testing.assert_allclose(at_once.score(batch).values, in_pieces.score(batch).values, rtol=1e-9)
    scores = at_once.score(batch)
    assert at_once.explain(scores, batch, 5.0) == in_pieces.explain(scores, batch, 5.0)


def test_nothing_to_judge_is_no_verdict(rows: Any, shipped: Model) -> None:
    detector = NameDetector(shipped, 10)
    for batch in (EventBatch.of([]), asked(rows, ["wpad", ""]), rows([1.0], kind=Kind.DNS, resource="x.com")):
        assert told(detector, batch) == []


def test_what_was_quoted_is_quoted_by_who_takes_over(rows: Any, shipped: Model) -> None:
    first, second, batch = NameDetector(shipped), NameDetector(shipped), asked(rows, list(STRANGE[:30]))
    first.learn(batch)
    second.restore(first.state())
    scores = first.score(batch)
    assert second.explain(scores, batch, 5.0) == first.explain(scores, batch, 5.0)
    assert "such as" in second.explain(scores, batch, 5.0)[0].evidence[-1]


def test_another_model_judges_on_with_what_is_known(rows: Any, shipped: Model) -> None:
    detector, batch = NameDetector(shipped), asked(rows, list(STRANGE[:30]))
    detector.learn(batch)
    before = detector.score(batch)
    other = Model(shipped.booster, replace_struct(shipped.card, threshold=0.99).sealed())
    detector.adopt(other)
    assert np.array_equal(detector.score(batch).values, before.values)
    (verdict,) = detector.explain(before, batch, 5.0)
    assert verdict.model == other.card.revision != shipped.card.revision


def test_more_addresses_than_fit_are_forgotten_with_their_names(rows: Any, shipped: Model) -> None:
    detector = NameDetector(shipped, 4)
    for start in range(0, 40, 4):
        addresses = [f"10.0.0.{start + place}" for place in range(4)]
        batch = rows([float(start)] * 4, kind=Kind.DNS, source="zeek", address=addresses, resource=list(STRANGE[:4]))
        detector.learn(batch)
    gone = rows([40.0], kind=Kind.DNS, source="zeek", address="10.0.0.0", resource=STRANGE[0])
    (verdict,) = detector.explain(detector.score(gone), gone, 50.0)
    assert verdict.score < 0.01
    assert "such as" not in " ".join(verdict.evidence)
