"""The shelf: one revision in force, changes that are whole or did not happen, nothing believed that nobody signed."""

from __future__ import annotations

import errno
import os
import shutil
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors import Model, ModelRefused, Shelf, put_defaults
from detectors.models import FLOW, History, add, found, promote, record, roll_back, unproven
from detectors.models import keeping as module
from detectors.models.card import Card, Evaluation, Traffic
from detectors.models.comparison import Comparison, worse
from detectors.models.durable import put
from detectors.models.signing import key_id, read_public

AT: dict[str, Any] = {"time": 2e9, "by": "operator:jo", "reason": "ticket 4711"}
COUNTS = Evaluation(
    attackers=100,
    caught=90,
    honest=1000,
    accused=1,
    events_until_caught=10.0,
    events_until_caught_p95=20.0,
    seconds_until_caught=1.0,
    seconds_until_caught_p95=2.0,
)


class Killed(BaseException):
    """The process ends here: nothing of ours runs any more."""


@pytest.fixture(scope="module")
def flow(models: Path) -> Model:
    """The default model of flows."""
    return Shelf(models).in_force(FLOW)


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "models")


def another(model: Model, threshold: float) -> Model:
    """The same trees with another threshold: another revision, made in no time."""
    return Model(model.booster, msgspec.structs.replace(model.card, threshold=threshold).sealed())


def in_force(shelf: Shelf) -> str:
    return shelf.in_force(FLOW).card.revision


def evaluated(shelf: Shelf, revision: str, *why: str) -> None:
    """Say that a revision was evaluated against what is in force now."""
    traffic = Traffic(part="test", source="x", sha256="x", events=1, hostile=1)
    told = Comparison(
        revision=revision,
        against=shelf.history("flow").in_force,
        time=2e9,
        traffic=traffic,
        result=COUNTS,
        standing=COUNTS,
        worse=why,
    )
    record(shelf, told)


@pytest.fixture
def three(shelf: Shelf, flow: Model) -> list[str]:
    """Three revisions, the first two of which were put in force, one after the other."""
    revisions = [add(shelf, another(flow, threshold)) for threshold in (0.81, 0.82, 0.83)]
    for revision in revisions[:2]:
        promote(shelf, revision, **AT, force=True)
    return revisions


def test_the_last_promoted_is_in_force_and_each_change_is_on_record(shelf: Shelf, three: list[str]) -> None:
    assert in_force(shelf) == three[1]
    promote(shelf, three[2], **AT, force=True)
    roll_back(shelf, "flow", **AT)
    roll_back(shelf, "flow", **AT)
    assert in_force(shelf) == three[0]
    told = shelf.history("flow").promotions
    assert [(one.what, one.before, one.revision) for one in told] == [
        ("promoted", "", three[0]),
        ("promoted", three[0], three[1]),
        ("promoted", three[1], three[2]),
        ("rolled_back", three[2], three[1]),
        ("rolled_back", three[1], three[0]),
    ]
    assert {(one.by, one.reason, one.time) for one in told} == {("operator:jo", "ticket 4711", 2e9)}
    with pytest.raises(ModelRefused, match="no model was in force before"):
        roll_back(shelf, "flow", **AT)


def test_only_what_was_evaluated_against_what_is_in_force_now_is_promoted(shelf: Shelf, three: list[str]) -> None:
    with pytest.raises(ModelRefused, match=f"{three[2]}: was not evaluated"):
        promote(shelf, three[2], **AT)
    evaluated(shelf, three[2], "it is slower")
    with pytest.raises(ModelRefused, match="it is slower"):
        promote(shelf, three[2], **AT)
    evaluated(shelf, three[2])
    roll_back(shelf, "flow", **AT)
    with pytest.raises(ModelRefused, match=f"evaluated against {three[1]}, and {three[0]} is in force"):
        promote(shelf, three[2], **AT)
    evaluated(shelf, three[2])
    assert not promote(shelf, three[2], **AT).promotions[-1].forced
    assert in_force(shelf) == three[2]
    with pytest.raises(ModelRefused, match="is in force"):
        promote(shelf, three[2], **AT, force=True)


def test_who_forces_a_promotion_is_on_record(shelf: Shelf, three: list[str]) -> None:
    evaluated(shelf, three[2], "it is slower")
    assert promote(shelf, three[2], **AT, force=True).promotions[-1].forced


def test_an_evaluation_that_another_key_signed_counts_for_nothing(shelf: Shelf, three: list[str], models: Path) -> None:
    other = Shelf(shelf.places.folder, [read_public(models / "shelf.pub")])
    evaluated(shelf, three[2])
    path = shelf.places.evaluation(three[2])
    body = path.read_bytes().splitlines()[0]
    path.write_bytes(Shelf(models).keys.seal("evaluation", body))
    with pytest.raises(ModelRefused, match="not of this shelf"):
        unproven(other, three[2], shelf.history("flow"))


@pytest.mark.parametrize("name", ["../flow", "flow-0123456789ab/..", "flow", "", "flow-0123456789AB"])
def test_what_is_no_revision_is_refused(shelf: Shelf, three: list[str], name: str) -> None:
    with pytest.raises(ModelRefused, match="not the name of a revision"):
        shelf.load(name)


def test_what_may_not_be_used_is_refused_at_promote_too(shelf: Shelf, three: list[str]) -> None:
    model = shelf.places.revision(three[2]) / "model.ubj"
    model.write_bytes(model.read_bytes()[:-1] + b"?")
    with pytest.raises(ModelRefused, match="altered"):
        promote(shelf, three[2], **AT, force=True)
    assert in_force(shelf) == three[1]
    (refused,) = [entry for entry in shelf.entries() if entry.refused]
    assert (refused.revision, refused.card, "model.ubj: altered" in refused.refused) == (three[2], None, True)


def test_a_revision_under_the_name_of_another_is_refused(shelf: Shelf, three: list[str]) -> None:
    shutil.rmtree(shelf.places.revision(three[1]))
    shelf.places.revision(three[2]).rename(shelf.places.revision(three[1]))
    with pytest.raises(ModelRefused, match=f"holds another revision, {three[2]}"):
        in_force(shelf)


@pytest.mark.parametrize("damage", [b"", b"{}\n{}\n", b"torn"])
def test_a_history_that_is_altered_is_refused(shelf: Shelf, three: list[str], damage: bytes) -> None:
    shelf.places.history("flow").write_bytes(damage)
    with pytest.raises(ModelRefused, match=r"in-force\.json: unsigned"):
        in_force(shelf)


def test_one_schemas_history_does_not_pass_for_anothers(shelf: Shelf, three: list[str]) -> None:
    shelf.places.room("access").mkdir()
    shutil.copy(shelf.places.history("flow"), shelf.places.history("access"))
    with pytest.raises(ModelRefused, match="of another schema, flow"):
        shelf.history("access")


def test_another_shelf_is_believed_where_its_key_is_named(shelf: Shelf, three: list[str], tmp_path: Path) -> None:
    (foreign := tmp_path / "foreign").mkdir()
    shutil.copytree(shelf.places.room("flow"), foreign / "flow")
    with pytest.raises(ModelRefused, match="not trusted here"):
        in_force(Shelf(foreign))
    assert in_force(Shelf(foreign, [read_public(shelf.places.public_key)])) == three[1]


def test_another_shelfs_model_is_promoted_where_its_key_is_named(
    shelf: Shelf, three: list[str], models: Path, flow: Model
) -> None:
    revision = flow.card.revision
    shutil.copytree(models / "flow" / revision, shelf.places.revision(revision))
    with pytest.raises(ModelRefused, match="not trusted here"):
        promote(shelf, revision, **AT, force=True)
    trusting = Shelf(shelf.places.folder, [read_public(models / "shelf.pub")])
    promote(trusting, revision, **AT, force=True)
    assert in_force(trusting) == revision


def test_keys_are_ours_alone(shelf: Shelf, three: list[str]) -> None:
    assert shelf.places.key.stat().st_mode & 0o777 == 0o600
    shelf.places.key.chmod(0o644)
    with pytest.raises(ModelRefused, match=r"shelf\.key: a private key that others may read"):
        in_force(shelf)
    shelf.places.key.chmod(0o600)
    shelf.places.key.write_bytes(b"none")
    with pytest.raises(ModelRefused, match=r"shelf\.key: not a private key"):
        in_force(shelf)


def test_whoever_may_not_read_the_key_judges_by_its_public_half_and_signs_nothing(
    shelf: Shelf, three: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Detectors of another user than the one who promotes cannot sign, nor make a key in the place of theirs."""
    real, key = Path.read_bytes, shelf.places.key.read_bytes()

    def read(path: Path) -> bytes:
        if path == shelf.places.key:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return real(path)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "read_bytes", read)
        with pytest.raises(ModelRefused, match="not trusted here"):
            in_force(shelf)
        trusting = Shelf(shelf.places.folder, [read_public(shelf.places.public_key)])
        assert in_force(trusting) == three[1]
        with pytest.raises(ModelRefused, match=r"shelf\.key\) cannot be read: nothing can be signed"):
            promote(trusting, three[2], **AT, force=True)
    assert shelf.places.key.read_bytes() == key


def test_a_shelf_keeps_so_many_and_never_loses_what_is_needed(
    shelf: Shelf, three: list[str], flow: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "KEPT", 4)
    (shelf.places.room("flow") / "flow-0123456789ab.gone").mkdir()
    for place, revision in enumerate(three):
        os.utime(shelf.places.revision(revision) / "card.sig", (place, place))
    newest = [add(shelf, another(flow, 0.9 + number / 1000)) for number in range(3)]
    kept = set(shelf.places.revisions("flow"))
    assert len(kept) == 4
    assert {*three[:2], newest[-1]} <= kept
    assert {path.name for path in shelf.places.room("flow").iterdir()} == {*kept, "in-force.json"}


Change = Callable[[Shelf, list[str], Model], object]
CHANGES: dict[str, Change] = {
    "add": lambda shelf, three, flow: add(shelf, another(flow, 0.9)),
    "promote": lambda shelf, three, flow: promote(shelf, three[2], **AT, force=True),
    "roll_back": lambda shelf, three, flow: roll_back(shelf, "flow", **AT),
}


@pytest.mark.parametrize("what", CHANGES)
@pytest.mark.parametrize("fault", [Killed(), OSError(errno.ENOSPC, "No space left on device")], ids=["kill", "full"])
def test_a_change_that_is_cut_short_at_any_step_is_whole_or_did_not_happen(
    shelf: Shelf, three: list[str], flow: Model, monkeypatch: pytest.MonkeyPatch, what: str, fault: BaseException
) -> None:
    """At each step that reaches the disk in turn, and half-way through each write; then it is done again."""
    before, step = three[1], 0
    after = {"add": three[1], "promote": three[2], "roll_back": three[0]}[what]
    whole = Path(shutil.copytree(shelf.places.folder, shelf.places.folder.with_name("whole")))
    for step in range(100):
        shutil.rmtree(shelf.places.folder)
        shutil.copytree(whole, shelf.places.folder)
        with monkeypatch.context() as patched:
            cut = CutShort(patched, step, fault)
            with suppress(Killed, OSError):
                CHANGES[what](shelf, three, flow)
            if cut.left > 0:  # it came through: every step was tried
                break
        assert in_force(shelf) in (before, after)
        assert not [entry.refused for entry in shelf.entries() if entry.refused]
        if in_force(shelf) != after or what == "add":
            CHANGES[what](shelf, three, flow)
        assert in_force(shelf) == after
        assert not list(shelf.places.folder.rglob("*next*"))
    assert step > 3


@pytest.mark.parametrize("fault", [Killed(), OSError(errno.ENOSPC, "No space left on device")], ids=["kill", "full"])
def test_a_shelf_whose_making_is_cut_short_is_made_by_the_next(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch, fault: BaseException
) -> None:
    """At each step; whoever founds it next has a key of mode 0600, and its public half beside it."""
    for step in range(100):
        shutil.rmtree(shelf.places.folder, ignore_errors=True)
        with monkeypatch.context() as patched:
            cut = CutShort(patched, step, fault)
            with suppress(Killed, OSError):
                found(shelf)
            if cut.left > 0:
                break
        found(shelf)
        assert shelf.places.key.stat().st_mode & 0o777 == 0o600
        assert key_id(read_public(shelf.places.public_key)) == shelf.keys.own
    assert step > 5


class CutShort:
    """Raises at the step of a number, and where that is a write does half of it before."""

    def __init__(self, patched: pytest.MonkeyPatch, at: int, fault: BaseException) -> None:
        self.left = at + 1
        self._fault, self._write = fault, os.write
        for name in ("write", "fsync", "replace", "mkdir"):
            patched.setattr(os, name, partial(self._step, getattr(os, name)))

    def _step(self, real: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        self.left -= 1
        if self.left:
            return real(*arguments, **named)
        if real is self._write:
            real(arguments[0], bytes(arguments[1])[: len(arguments[1]) // 2])
        raise self._fault


def test_a_read_only_shelf_judges_and_is_not_changed(
    shelf: Shelf, three: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.open

    def read_only(path: Path, flags: int, *more: int, **named: Any) -> int:
        if flags & (os.O_WRONLY | os.O_RDWR):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
        return real(path, flags, *more, **named)

    monkeypatch.setattr(os, "open", read_only)
    assert in_force(shelf) == three[1]
    assert promote(shelf, three[2], **AT, force=True, dry_run=True).in_force == three[2]
    with pytest.raises(OSError, match="Read-only file system"):
        promote(shelf, three[2], **AT, force=True)


def test_two_that_change_a_shelf_at_once_wait_for_one_another(shelf: Shelf, flow: Model) -> None:
    """The first on a new shelf, too: there is one key."""
    thresholds = [0.8 + number / 100 for number in range(4)]
    threads = [
        threading.Thread(target=lambda mine: [add(shelf, another(flow, one)) for one in mine], args=(part,))
        for part in (thresholds, thresholds[::-1])
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    entries = shelf.entries()
    assert len(entries) == 4
    assert {entry.signer for entry in entries} == {shelf.keys.own}


def test_what_is_altered_gives_way_to_the_default_and_is_set_aside(shelf: Shelf, models: Path) -> None:
    """On the shelf that is ours a bank is never left without a judge; what happened is on record."""
    shutil.copytree(models, shelf.places.folder)
    default = in_force(shelf)
    history = shelf.places.history("flow")
    history.write_bytes(history.read_bytes().replace(b"default", b"altered"))
    put_defaults(shelf.places.folder)
    assert in_force(shelf) == default
    assert b"altered" in history.with_suffix(".refused").read_bytes()


def test_what_an_operator_promoted_outlives_a_start(shelf: Shelf, models: Path, flow: Model) -> None:
    shutil.copytree(models, shelf.places.folder)
    revision = add(shelf, another(flow, 0.9))
    promote(shelf, revision, **AT, force=True)
    assert put_defaults(shelf.places.folder)["flow"].card.revision == revision


def test_the_default_of_another_version_gives_way_to_this_ones(shelf: Shelf, models: Path, flow: Model) -> None:
    """On record, and the revision that lies there is left alone."""
    shutil.copytree(models, shelf.places.folder)
    signature = shelf.places.revision(flow.card.revision) / "card.sig"
    lain = signature.stat().st_mtime_ns
    lineage = msgspec.structs.replace(flow.card.lineage, simulator="0")
    revision = add(shelf, Model(flow.booster, msgspec.structs.replace(flow.card, lineage=lineage).sealed()))
    promote(shelf, revision, time=2e9, by="portcullis", reason="the default of then", force=True)
    put_defaults(shelf.places.folder)
    assert in_force(shelf) == flow.card.revision
    last = shelf.history("flow").promotions[-1]
    assert (last.by, last.before, last.reason) == ("portcullis", revision, "the default model")
    assert signature.stat().st_mtime_ns == lain


def newer(card: Card) -> Card:
    schema = msgspec.structs.replace(card.schema, version=card.schema.version + 1)
    return msgspec.structs.replace(card, schema=schema).sealed()


def test_after_a_downgrade_a_newer_model_is_refused_and_the_default_judges(
    shelf: Shelf, models: Path, flow: Model
) -> None:
    shutil.copytree(models, shelf.places.folder)
    default = in_force(shelf)
    revision = add(shelf, Model(flow.booster, newer(flow.card)))
    history = shelf.history("flow").promoted(revision, 2e9, "portcullis", "of a newer version")
    put(shelf.places.history("flow"), shelf.keys.seal("history", msgspec.json.encode(history)))
    with pytest.raises(ModelRefused, match="it is flow version 3, and flow version 2 is read here"):
        in_force(shelf)
    put_defaults(shelf.places.folder)
    assert in_force(shelf) == default
    assert shelf.history("flow").previous == revision


def test_a_card_of_another_format_is_refused(shelf: Shelf, flow: Model) -> None:
    revision = add(shelf, Model(flow.booster, msgspec.structs.replace(flow.card, format=99).sealed()))
    with pytest.raises(ModelRefused, match="a card of format 99, and 2 is read here"):
        shelf.load(revision)


@given(st.lists(st.sampled_from("abcd-"), max_size=40))
def test_going_back_is_the_reverse_of_promoting(changes: list[str]) -> None:
    """A history against a plain stack, as far back as it remembers."""
    history, stack = History("flow"), list[str]()
    for change in changes:
        if change != "-":
            history, stack = history.promoted(change, 0.0, "", ""), [*stack, change][-10:]
        elif history.previous:
            history, stack = history.rolled_back(0.0, "", ""), stack[:-1]
        assert [history.previous, history.in_force][-len(stack) :] == stack[-2:] or not stack
        assert len(history.promotions) <= len(changes)


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"caught": 89}, ""),
        ({"caught": 88}, "it catches 88.0% of the attackers, the other 90.0%"),
        ({"caught": 0, "events_until_caught": None}, "it catches 0.0% of the attackers, the other 90.0%"),
        ({"accused": 2}, ""),
        ({"accused": 3}, "it accuses 0.30% of the honest, the other 0.10%"),
        ({"events_until_caught": 12.5}, ""),
        ({"events_until_caught": 13.0}, "it needs 13 events to catch the median attacker, the other 10"),
    ],
)
def test_worse_is_by_a_rule(changed: dict[str, Any], why: str) -> None:
    told = list(worse(msgspec.structs.replace(COUNTS, **changed), COUNTS))
    assert told == ([why] if why else [])
