"""For how long and for which other questions an answer holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.clock_steps import ClockSteps
from gateway.edge import EPOCHS_FILE, Epochs, bucket
from gateway.enforcement.frames import VARIES_BY_QUERY
from gateway.enforcement.reuse import ONCE, Reusing
from gateway.identity import Evidence
from policy import AccessRequest, Actor, Decision, Principal
from policy.rego.reading import Reading

NOW = 1_800_000_000.0
EVIDENCE = Evidence(issuer="https://idp", key="signer", holder="holder")
ALICE = Principal(
    id="person:alice",
    kind="person",
    issuer="https://idp",
    actors=(Actor("agent:bot", "agent"),),
    expires=NOW + 100,
    token="jti",
    attributes={"sid": "login"},
)
REQUEST = AccessRequest(principal=ALICE, action="GET", service="s", path="/p", address="10.0.0.1", time=NOW)


def decided(*paths: tuple[Any, ...]) -> Decision:
    reading = Reading([frozenset(paths)], [0])
    return Decision(id="d-1", effect="allow", reasons=(), revision="r", reading=reading)


def reuse(*paths: tuple[Any, ...], request: AccessRequest = REQUEST, seconds: float = 5.0, life: float = 15.0) -> Any:
    return Reusing(seconds, life).of(request, decided(*paths), lambda: (EVIDENCE, "laptop"))


@pytest.mark.parametrize(
    ("path", "varies"),
    [
        (("input", "principal", "id"), 0),
        (("input", "path"), 0),
        (("input", "host"), 0),
        (("input", "device", "compliant"), 0),
        (("input", "query"), VARIES_BY_QUERY),
        (("data", "accounts", "1001", "owner"), 0),
        (("data", "risk", "person:alice"), 0),
    ],
)
def test_what_the_edge_sees_or_a_signal_tells_may_be_read(path: tuple[str, ...], varies: int) -> None:
    found = reuse(path)
    assert (found.ttl_ms, found.varies) == (5000, varies)


@pytest.mark.parametrize(
    "path",
    [
        ("input",),
        ("data",),
        ("data", "risk"),
        ("input", "time"),
        ("input", "body", "amount"),
        ("time.now_ns",),
        ("rand.intn",),
        ("input", "something", "new"),
    ],
)
def test_what_neither_sees_makes_an_answer_good_for_one_question(path: tuple[str, ...]) -> None:
    assert reuse(("input", "path"), path) == ONCE


def test_an_answer_holds_no_longer_than_the_proof_nor_than_the_transaction_token() -> None:
    brief = msgspec.structs.replace(REQUEST, principal=msgspec.structs.replace(ALICE, expires=NOW + 1.5))
    assert reuse(request=brief).ttl_ms == 1500
    ended = msgspec.structs.replace(REQUEST, principal=msgspec.structs.replace(ALICE, expires=NOW))
    assert reuse(request=ended) == ONCE
    assert reuse(life=10.0).ttl_ms == 3000
    assert reuse(life=4.0) == ONCE
    assert reuse(seconds=0.0) == ONCE
    assert not Reusing(0.0, 15.0).ever


def test_a_body_that_policy_saw_makes_it_good_for_one_question() -> None:
    assert reuse(request=msgspec.structs.replace(REQUEST, body={})) == ONCE


def test_everybody_by_whom_a_signal_may_name_it_is_in_it() -> None:
    names = [
        *(("principal", "person:alice"), ("actor", "person:alice"), ("actor", "agent:bot"), ("device", "laptop")),
        *(("subject", "https://idp alice"), ("token", "https://idp jti"), ("login", "https://idp login")),
        *(("address", "10.0.0.1"), ("issuer", "https://idp"), ("key", "signer"), ("key", "holder")),
        ("risk", "agent:bot"),
    ]
    found = reuse(("data", "risk", "agent:bot"))
    assert {bucket(kind, value) for kind, value in names} == set(found.buckets)


def test_a_mark_is_newer_than_all_that_was_asked_before(tmp_path: Path) -> None:
    epochs = Epochs(tmp_path / EPOCHS_FILE)
    words = epochs._words
    asked = epochs.sequence
    epochs.touch("principal", "person:alice")
    assert words[64 + bucket("principal", "person:alice")] > asked
    asked = epochs.sequence
    epochs.everything()
    assert words[3] > asked
    words.release()
    epochs.close()


def test_a_gateway_that_begins_ends_what_an_earlier_one_answered_in_the_same_file(tmp_path: Path) -> None:
    first = Epochs(tmp_path / EPOCHS_FILE)
    first.touch("principal", "person:alice")
    asked, instance, inode = first.sequence, first.instance, (tmp_path / EPOCHS_FILE).stat().st_ino
    first.close()
    second = Epochs(tmp_path / EPOCHS_FILE)
    assert second.instance != instance
    assert second._words[3] > asked
    assert (tmp_path / EPOCHS_FILE).stat().st_ino == inode
    second.close()


def test_a_link_in_place_of_the_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other").write_bytes(b"")
    (tmp_path / EPOCHS_FILE).symlink_to(tmp_path / "other")
    with pytest.raises(OSError, match="symbolic"):
        Epochs(tmp_path / EPOCHS_FILE)


def test_a_step_of_the_clock_is_told_once_and_time_that_passes_never() -> None:
    wall, passed, told = [NOW], [0.0], []
    steps = ClockSteps(lambda: told.append(wall[0]), lambda: wall[0], lambda: passed[0])
    for _ in range(100):
        wall[0] += 0.011  # slewed
        passed[0] += 0.010
        steps.look()
    assert told == []
    for change in (-3600.0, 0.6):
        wall[0] += change
        steps.look()
        steps.look()
    assert len(told) == 2
