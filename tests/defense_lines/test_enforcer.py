"""What an agent does with what it is told: sequence, time, the journal; without socket, kernel or clock."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from defense_lines.agent.actuation import Until
from defense_lines.agent.enforcer import Malformed, OtherLedger
from defense_lines.agent.prefix import Prefix
from defense_lines.agent.protocol import (
    Audit,
    Enforced,
    Hello,
    InStep,
    OutOfSequence,
    Receipts,
    Unable,
    Welcome,
    WireOrder,
)
from defense_lines.line import Digest
from tests.defense_lines.agent_rig import LEDGER, Clocks, Host

HOUR = 3600.0


def order(host: Host, seq: int, number: int = 0, ttl: float = 60.0, target: str = "") -> WireOrder:
    number = number or seq
    return WireOrder(seq, f"b-{number:016x}", target or f"10.0.0.{number}", host.clocks.gateway() + ttl)


def lift(seq: int, number: int) -> WireOrder:
    return WireOrder(seq, f"b-{number:016x}")


def outcomes(answer: object) -> list[str]:
    assert isinstance(answer, Receipts), answer
    return [note.outcome for note in answer.notes]


def audit(host: Host, *numbers: int) -> object:
    digest = Digest.of(f"b-{number:016x}" for number in numbers)
    question = Audit(digest.count, digest.sum, host.clocks.gateway())
    asked = host.enforcer.asked(question, host.clocks.boottime())
    host.enforcer.listing_begins()
    return host.enforcer.audit(asked, host.firewall.listing())


def test_orders_are_carried_out_and_answered_for(tmp_path: Path) -> None:
    host = Host(tmp_path)
    answer = host.tell(0, order(host, 1), order(host, 2), lift(3, 1))
    assert isinstance(answer, Receipts)
    assert (answer.head, answer.notes) == ("head", ())
    assert host.enforced() == {"10.0.0.2"}
    assert audit(host, 2) == InStep()
    assert audit(host, 1, 2) == Enforced(("b-0000000000000002",))


def test_a_replayed_batch_is_not_carried_out_again(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.tell(0, order(host, 1))
    host.tell(1, lift(2, 1))
    assert host.tell(0, order(host, 1)) == OutOfSequence(2)
    assert host.enforced() == set()


def test_a_batch_that_leaves_something_out_is_not_carried_out(tmp_path: Path) -> None:
    host = Host(tmp_path)
    assert host.tell(5, order(host, 6)) == OutOfSequence(0)
    assert host.enforced() == set()


@pytest.mark.parametrize("seqs", [(2, 1), (1, 1), (0, 1), (1, 9)])
def test_a_reordered_batch_ends_the_connection(tmp_path: Path, seqs: tuple[int, int]) -> None:
    host = Host(tmp_path)
    with pytest.raises(Malformed):
        host.tell(0, *(order(host, seq, number) for number, seq in enumerate(seqs, 1)), upto=3)
    assert (host.enforced(), host.enforcer.book.cursor) == (set(), 0)


@pytest.mark.parametrize("time", [float("nan"), float("inf"), -1.0, 1e300])
def test_a_time_that_is_none_ends_the_connection(tmp_path: Path, time: float) -> None:
    host = Host(tmp_path)
    with pytest.raises(Malformed):
        host.tell(0, order(host, 1), time=time)
    assert host.enforced() == set()


def test_an_expired_order_is_not_enforced(tmp_path: Path) -> None:
    host = Host(tmp_path)
    assert outcomes(host.tell(0, order(host, 1, ttl=-1), order(host, 2))) == ["expired"]
    assert host.enforced() == {"10.0.0.2"}


@pytest.mark.parametrize(
    "target", ["person:alice", "fe80::1%eth0", "10.0.0.0/33", "10.0.0.1/24", "10.0.0.1; flush ruleset", ""]
)
def test_what_no_firewall_can_hold_is_refused(tmp_path: Path, target: str) -> None:
    host = Host(tmp_path)
    bad = WireOrder(1, "b-0000000000000001", target, host.clocks.gateway() + 60)
    assert outcomes(host.tell(0, bad, order(host, 2))) == ["refused"]
    assert host.enforced() == {"10.0.0.2"}


@pytest.mark.parametrize("identity", ["", "b-1", "b-000000000000000G", "b-0000000000000001\n", "x" * 300])
def test_what_is_no_block_id_is_refused(tmp_path: Path, identity: str) -> None:
    host = Host(tmp_path)
    answer = host.tell(0, WireOrder(1, identity, "10.0.0.1", host.clocks.gateway() + 60))
    assert outcomes(answer) == ["refused"]


def test_another_ledger_is_refused_unless_it_was_asked_for(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.tell(0, order(host, 1))
    other = Welcome("line", "other", 5, host.clocks.gateway())
    with pytest.raises(OtherLedger):
        host.enforcer.welcome(other)
    assert host.enforcer.book.cursor == 1
    assert host.enforcer.welcome(other, instead="other").cursor == 0
    assert host.enforced() == {"10.0.0.1"}  # until the other has told everything
    host.tell(0, order(host, 1, 9))
    host.check()
    assert host.enforced() == {"10.0.0.1", "10.0.0.9"}
    assert audit(host, 9) == InStep(repaired=1)
    assert host.enforced() == {"10.0.0.9"}


def test_a_ledger_that_went_back_is_followed_anew(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.tell(0, order(host, 1), order(host, 2))
    hello = host.enforcer.welcome(Welcome("line", LEDGER, 1, host.clocks.gateway()))
    assert (hello.cursor, host.enforced()) == (0, {"10.0.0.1", "10.0.0.2"})


def test_who_is_killed_knows_everything_that_it_acknowledged(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.tell(0, order(host, 1), order(host, 2))
    host.tell(2, lift(3, 1))
    host.tell(None, order(host, 2, 7))
    host.kill()
    host.firewall.ends.clear()
    host.start()
    assert (host.enforced(), host.enforcer.book.cursor) == ({"10.0.0.2", "10.0.0.7"}, 3)
    hello = host.enforcer.welcome(Welcome("line", LEDGER, 9, host.clocks.gateway()))
    assert isinstance(hello, Hello)
    assert hello.cursor == 3


@pytest.mark.parametrize("cut", [1, 7, 8, 9, 30])
def test_a_torn_record_is_cut_off_and_told_again(tmp_path: Path, cut: int) -> None:
    host = Host(tmp_path)
    host.tell(0, order(host, 1))
    before = host.path.stat().st_size
    host.tell(1, order(host, 2))
    host.kill()
    os.truncate(host.path, before + cut)
    host.start()
    assert host.enforcer.book.cursor == 1
    host.tell(1, order(host, 2))
    host.kill()
    host.start()
    assert host.enforcer.book.cursor == 2


def test_zeros_at_the_end_are_torn_too(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.tell(0, order(host, 1))
    host.kill()
    os.truncate(host.path, host.path.stat().st_size + 4096)  # as a file system leaves it without power
    host.start()
    assert host.enforcer.book.cursor == 1


def test_a_damaged_journal_is_put_aside_and_nothing_is_lifted(tmp_path: Path) -> None:
    host = Host(tmp_path)
    for seq in range(1, 4):
        host.tell(seq - 1, order(host, seq))
    host.kill()
    data = bytearray(host.path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    host.path.write_bytes(data)
    host.start()
    assert host.enforcer.book.cursor == 0
    assert host.enforced() == {"10.0.0.1", "10.0.0.2", "10.0.0.3"}
    assert host.path.with_suffix(".damaged").exists()


def test_what_the_disk_does_not_take_is_not_acknowledged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host(tmp_path)
    host.tell(0, order(host, 1))

    def full(file: int, data: bytes) -> int:
        written(file, data[: len(data) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    written = os.write
    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        answer = host.tell(1, order(host, 2))
    assert answer == Unable("journal: No space left on device")
    assert host.enforced() == {"10.0.0.1"}
    assert outcomes(host.tell(1, order(host, 2))) == []
    host.kill()
    host.start()
    assert host.enforced() == {"10.0.0.1", "10.0.0.2"}


def test_a_long_journal_is_rewritten_with_what_stands(tmp_path: Path) -> None:
    host = Host(tmp_path)
    seq = 0
    while host.path.stat().st_size < (1 << 20):
        orders = [order(host, seq + step, seq + step, target=f"10.{seq % 200}.{step}.0/24") for step in range(1, 101)]
        host.tell(seq, *orders)
        host.tell(seq + 100, *(lift(seq + 100 + step, seq + step) for step in range(1, 101)))
        seq += 200
    host.tell(seq, order(host, seq + 1, 7))
    host.enforcer.compact()
    assert host.path.stat().st_size < 1000
    host.tell(seq + 1, order(host, seq + 2, 8))
    host.kill()
    host.start()
    assert (host.enforced(), host.enforcer.book.cursor) == ({"10.0.0.7", "10.0.0.8"}, seq + 2)


@pytest.mark.parametrize("wrong", [-HOUR, 0.0, HOUR])
def test_a_wrong_clock_ends_no_block_early_or_late(tmp_path: Path, wrong: float) -> None:
    host = Host(tmp_path, Clocks(wrong))
    host.tell(0, order(host, 1, ttl=100.0))
    host.clocks.passed += 50
    host.kill()
    host.start()
    host.clocks.wrong += HOUR  # somebody sets it
    host.clocks.passed += 49
    assert host.enforced() == {"10.0.0.1"}
    assert host.enforcer.now() == pytest.approx(host.clocks.gateway())
    host.clocks.passed += 2
    assert host.enforced() == set()


@pytest.mark.parametrize("wrong", [-HOUR, 0.0, HOUR])
def test_a_boot_takes_its_time_off_a_block(tmp_path: Path, wrong: float, monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host(tmp_path, Clocks(wrong))
    host.tell(0, order(host, 1, ttl=100.0), order(host, 2, ttl=30.0))
    host.kill()
    boot(host, 40, monkeypatch)
    assert host.enforced() == {"10.0.0.1"}
    host.clocks.passed += 59
    assert host.enforced() == {"10.0.0.1"}
    host.clocks.passed += 2
    assert host.enforced() == set()


def test_a_clock_that_went_back_at_boot_is_put_right_by_the_gateway(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = Host(tmp_path)
    host.tell(0, order(host, 1, ttl=100.0))
    host.kill()
    host.clocks.wrong = -1_000_000.0
    boot(host, 40, monkeypatch)
    host.enforcer.welcome(Welcome("line", LEDGER, 1, host.clocks.gateway()))
    host.check()
    host.clocks.passed += 61
    assert host.enforced() == set()


def boot(host: Host, seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    host.clocks.passed += seconds
    host.clocks.booted = host.clocks.passed
    host.firewall.ends.clear()
    monkeypatch.setattr("defense_lines.agent.journal.boot", lambda: f"after {host.clocks.passed}")
    host.start()


def test_what_was_long_on_its_way_ends_on_time_once_that_is_known(tmp_path: Path) -> None:
    host = Host(tmp_path)
    sent = host.clocks.gateway()
    late = order(host, 1, ttl=100.0)
    host.clocks.passed += 3  # seconds on its way
    host.tell(0, late, time=sent)
    host.tell(1, order(host, 2, ttl=200.0))
    host.check()
    host.clocks.passed += 97.5
    assert host.enforced() == {"10.0.0.2"}


def test_what_the_firewall_lost_or_kept_too_long_is_repaired(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.tell(0, order(host, 1), order(host, 2), order(host, 3))
    ends = host.firewall.ends
    right = dict(ends)
    del ends[bytes((10, 0, 0, 1, 32))]
    ends[bytes((10, 0, 0, 2, 32))] += 5
    ends[bytes((10, 0, 0, 99, 32))] = 1e9
    assert audit(host, 1, 2, 3) == InStep(repaired=3)
    assert ends.keys() == right.keys()
    assert all(abs(ends[prefix] - right[prefix]) < 0.1 for prefix in right)
    assert audit(host, 1, 2, 3) == InStep()


def test_a_lift_that_the_firewall_did_not_take_is_not_answered_as_lifted_until_it_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = Host(tmp_path)
    host.tell(0, order(host, 1), order(host, 2))
    with monkeypatch.context() as patched:
        patched.setattr(host.firewall, "change", busy)
        assert outcomes(host.tell(2, lift(3, 1))) == ["failed"]
        assert outcomes(host.tell(None, lift(3, 1))) == ["failed"]
        assert audit(host, 2) == Enforced(("b-0000000000000002", "b-0000000000000001"))
        host.kill()
        host.start()
        assert outcomes(host.tell(None, lift(3, 1))) == ["failed"]
    assert host.enforced() == {"10.0.0.1", "10.0.0.2"}
    assert outcomes(host.tell(None, lift(3, 1))) == []
    assert host.enforced() == {"10.0.0.2"}
    assert audit(host, 2) == InStep()


@pytest.mark.parametrize("anew", [False, True])
def test_a_lift_that_the_firewall_did_not_take_is_known_after_its_journal_was_rewritten_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, anew: bool
) -> None:
    host = Host(tmp_path)
    host.tell(0, order(host, 1), order(host, 2))
    with monkeypatch.context() as patched:
        patched.setattr(host.firewall, "change", busy)
        patched.setattr("defense_lines.agent.enforcer._SMALL", 0)
        patched.setattr("defense_lines.agent.enforcer._DEAD", 0)
        assert outcomes(host.tell(2, lift(3, 1))) == ["failed"]
        if anew:  # the ledger is from an older backup
            host.enforcer.welcome(Welcome("line", LEDGER, 1, host.clocks.gateway()))
        else:
            host.enforcer.compact()
        host.kill()
        host.start()
        assert outcomes(host.tell(None, lift(3, 1))) == ["failed"]
    assert outcomes(host.tell(None, lift(3, 1))) == []
    assert host.enforced() == {"10.0.0.2"}


def busy(changes: Mapping[Prefix, Until | None], fresh: bool = False) -> Mapping[Prefix, str]:
    return dict.fromkeys(changes, "netlink: No buffer space available")


def test_a_welcome_that_was_long_on_its_way_makes_no_block_end_late(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.enforcer.welcome(Welcome("line", LEDGER, 0, host.clocks.gateway()))
    host.tell(0, order(host, 1, ttl=100.0))
    host.enforcer.welcome(Welcome("line", LEDGER, 1, host.clocks.gateway() - 6))
    assert audit(host, 1) == InStep()
    host.clocks.passed += 100.5
    assert host.enforced() == set()


def test_a_question_alone_tells_the_time(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.enforcer.welcome(Welcome("line", LEDGER, 0, host.clocks.gateway() - 6))
    host.tell(0, order(host, 1, ttl=100.0), time=host.clocks.gateway() - 6)
    assert audit(host, 1) == InStep(repaired=1)
    host.clocks.passed += 4  # a guest that was paused: its clock stood still
    host.clocks.booted += 4
    assert audit(host, 1) == InStep(repaired=1)
    host.clocks.passed += 96.5
    assert host.enforced() == set()


@pytest.mark.parametrize("time", [float("nan"), float("inf"), -1.0])
def test_a_question_of_no_time_ends_the_connection(tmp_path: Path, time: float) -> None:
    with pytest.raises(Malformed):
        Host(tmp_path).enforcer.asked(Audit(0, 0, time), 1.0)


def test_what_ends_or_is_told_while_the_firewall_lists_makes_no_difference(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.tell(0, order(host, 1), order(host, 2, ttl=0.3))
    digest = Digest.of(["b-0000000000000001", "b-0000000000000002"])
    asked = host.enforcer.asked(Audit(digest.count, digest.sum, host.clocks.gateway()), host.clocks.boottime())
    host.enforcer.listing_begins()
    host.clocks.passed += 0.5
    host.tell(2, order(host, 3))
    assert host.enforcer.audit(asked, host.firewall.listing()) == InStep()


steps = st.lists(
    st.one_of(
        st.tuples(st.just("block"), st.integers(1, 6), st.sampled_from(["10.0.0.1", "10.0.0.2", "10.0.0.0/24"])),
        st.tuples(st.just("lift"), st.integers(1, 6), st.just("")),
        st.tuples(st.sampled_from(["kill", "wait", "replay", "check", "rewrite", "damage"]), st.just(0), st.just("")),
    ),
    max_size=30,
)


@settings(deadline=None)
@given(steps)
def test_the_firewall_holds_the_union_of_what_stands(tmp_path_factory: pytest.TempPathFactory, story: list) -> None:  # type: ignore[type-arg]
    host, seq = Host(tmp_path_factory.mktemp("line")), 0
    model: dict[int, tuple[str, float]] = {}
    for verb, number, target in story:
        if verb in ("block", "lift"):
            told = order(host, seq + 1, number, 20.0 + number, target) if target else lift(seq + 1, number)
            assert outcomes(host.tell(seq, told)) == []
            seq += 1
            model.pop(number, None)
            if target:
                model[number] = target, told.expires
        elif verb == "replay" and seq:
            assert host.tell(seq - 1, order(host, seq, 6)) == OutOfSequence(seq)
        elif verb == "kill":
            host.kill()
            host.start()
        elif verb == "wait":
            host.clocks.passed += 7
        elif verb == "rewrite":
            host.enforcer._rewrite(LEDGER)
        elif verb == "damage":
            host.firewall.ends.clear()
            host.check()
        model = {key: kept for key, kept in model.items() if kept[1] > host.clocks.gateway()}
        held = host.firewall.listing().ends
        assert len(held) == len({kept for kept, _ in model.values()})
        if seq:
            assert isinstance(audit(host, *model), InStep)
    host.kill()
