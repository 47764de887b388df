"""Nothing told is lost: any order of what receivers and the disk may do, and a process that is killed."""

from __future__ import annotations

import asyncio
import shutil
import signal
import sqlite3
import sys
import tempfile
import textwrap
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gateway.signals.event import STREAM_UPDATED
from gateway.signals.transmitter import Store, Transmitter, TransmitterUnreadable, TransmitterUnwritable
from gateway.signals.transmitter.outgoing import settled
from gateway.signals.transmitter.poll import Poll
from gateway.signals.transmitter.rules import Rules
from gateway.signals.transmitter.stream import Refused, Status, Stream
from gateway.signals.transmitter.told import risk_level_change
from tests.gateway.telling_rig import DEADLINE, KEY, NOW, emails, office, read, revoked, settings

ROOT = Path(__file__).parents[2]
MOST = 4
T = TypeVar("T")


class Model:
    """What a stream should be."""

    def __init__(self, owner: str) -> None:
        self.owner = owner
        self.status: Status = "enabled"
        self.waits: list[str] = []  # txn
        self.notice = False  # we have paused it, and the receiver has not taken the event that says so


class Deliveries(RuleBasedStateMachine):
    """Two receivers and their streams; each event carries its number as its txn."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.conduct = Rules(settings(max_waiting=MOST))
        self.store = Store(self.folder / "signals.db")
        self.streams: dict[str, Model] = {}
        self.counted: Counter[str] = Counter()
        self.expected: Counter[str] = Counter()
        self.told = 0
        self.seen: dict[str, str] = {}  # stream by jti
        self.of: dict[str, str] = {}  # txn by jti, "" for what we say of a stream
        self.done: set[str] = set()  # jtis that may never come again

    def teardown(self) -> None:
        self.store.close()
        shutil.rmtree(self.folder)

    def work(self, job: Callable[[Store], T], kept: bool = True) -> T:
        self.store.begin()
        result = job(self.store)
        if kept:
            self.store.commit()
            self.counted += self.store.news.ended
        else:
            self.store.rollback()
        return result

    def poll(self, name: str, owner: str, **asked: Any) -> dict[str, dict[str, Any]] | Refused:
        found = self.work(lambda store: settled(self.conduct, owner, name, Poll(**asked), store))
        if isinstance(found, Refused):
            return found
        audience = f"https://{owner}.example"
        return {entry.jti: read(KEY.sign("secevent+jwt", entry.claims), audience) for entry in found[: MOST + 1]}

    @initialize()
    def begin(self) -> None:
        for owner in ("a", "a", "b"):
            self.create(owner)

    @precondition(lambda self: len(self.streams) < 4)
    @rule(owner=st.sampled_from(["a", "b"]))
    def create(self, owner: str) -> None:
        stream = self.work(lambda store: self.conduct.create(store, owner, {}))
        assert isinstance(stream, Stream)
        self.streams[stream.id] = Model(owner)

    @rule(number=st.integers(1, MOST))
    def publish(self, number: int) -> None:
        for _ in range(number):
            self.tell(kept=True)

    @rule()
    def killed(self) -> None:
        """Before the commit."""
        self.tell(kept=False)

    def tell(self, kept: bool) -> None:
        self.told += 1
        told = risk_level_change({"format": "opaque", "id": "x"}, str(self.told), NOW, principal="USER", current="LOW")
        number = self.work(lambda store: self.conduct.tell(store, told, NOW), kept)
        if not kept:
            return
        for model in self.streams.values():
            if model.status == "disabled":
                self.expected["disabled"] += 1
            elif len(model.waits) + model.notice < MOST:
                model.waits.append(told.txn)
                number -= 1
            else:
                self.expected["full"] += 1
                if model.status == "enabled":
                    model.status, model.notice = "paused", True
        assert number == 0

    @precondition(lambda self: self.streams)
    @rule(data=st.data())
    def take(self, data: st.DataObject) -> None:
        """Poll, and acknowledge or refuse some of it, and some that is not there or another's."""
        name = data.draw(st.sampled_from([*self.streams]))
        model = self.streams[name]
        sets = self.poll(name, model.owner)
        assert not isinstance(sets, Refused)
        self.check(name, sets)
        old = [jti for jti in self.seen if jti in self.done][-2:]
        others = [jti for jti in self.seen if jti not in self.done and jti not in sets]
        known = [*sets, *others, *old, "none"]  # ids are random: in the order in which they came
        chosen = data.draw(st.lists(st.sampled_from(range(len(known))), unique=True, min_size=1))
        split = data.draw(st.integers(0, len(chosen)))
        acknowledged, refused = ([known[at] for at in part] for part in (chosen[:split], chosen[split:]))
        left = self.poll(
            name,
            model.owner,
            acknowledged=tuple(acknowledged),
            refused={jti: {"err": "invalid_key"} for jti in refused},
        )
        assert not isinstance(left, Refused)
        held = {jti for jti, owner in self.seen.items() if owner == name} - self.done
        for jti in held & {*acknowledged, *refused}:
            self.settle(name, jti, "delivered" if jti in acknowledged else "refused_invalid_key")
        self.check(name, left)

    @precondition(lambda self: self.streams)
    @rule(data=st.data(), status=st.sampled_from(["enabled", "paused", "disabled"]))
    def set_status(self, data: st.DataObject, status: Status) -> None:
        name = data.draw(st.sampled_from([*self.streams]))
        model = self.streams[name]
        self.work(lambda store: self.conduct.set_status(store, model.owner, name, status, ""))
        if status == "disabled":
            self.drop(name, "disabled")
        elif model.notice:
            self.expected["outdated"] += 1
        model.status, model.notice = status, False

    @precondition(lambda self: len(self.streams) > 2)
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from([*self.streams]))
        self.drop(name, "deleted")
        assert self.work(lambda store: self.conduct.delete(store, self.streams[name].owner, name)) is None
        del self.streams[name]

    @precondition(lambda self: self.streams)
    @rule(data=st.data())
    def trespass(self, data: st.DataObject) -> None:
        """Another's stream is none, and what it holds stays."""
        name = data.draw(st.sampled_from([*self.streams]))
        other = "b" if self.streams[name].owner == "a" else "a"
        assert isinstance(self.poll(name, other, acknowledged=tuple(self.seen)), Refused)
        assert isinstance(self.work(lambda store: self.conduct.set_status(store, other, name, "disabled", "")), Refused)
        assert isinstance(self.work(lambda store: self.conduct.delete(store, other, name)), Refused)

    @rule()
    def restart(self) -> None:
        self.store.close()
        self.store = Store(self.folder / "signals.db")

    @invariant()
    def everything_is_accounted_for(self) -> None:
        assert +self.counted == +self.expected
        for name, model in self.streams.items():
            assert self.store.waiting(name) == len(model.waits) + model.notice

    def check(self, name: str, sets: dict[str, dict[str, Any]]) -> None:
        """What came is what should, in order, and never what is done with."""
        model = self.streams[name]
        notices = [jti for jti, claims in sets.items() if STREAM_UPDATED in claims["events"]]
        assert len(notices) == model.notice
        txns = [claims["txn"] for jti, claims in sets.items() if jti not in notices]
        assert txns == (model.waits if model.status == "enabled" else [])
        assert not self.done & {*sets}
        assert all(self.seen.setdefault(jti, name) == name for jti in sets)
        self.of |= {jti: "" if jti in notices else claims["txn"] for jti, claims in sets.items()}

    def settle(self, name: str, jti: str, end: str) -> None:
        model, txn = self.streams[name], self.of[jti]
        if not txn and model.notice:
            model.notice = False
        elif txn in model.waits:
            model.waits.remove(txn)
        else:
            return
        self.done.add(jti)
        self.expected[end] += 1

    def drop(self, name: str, end: str) -> None:
        model = self.streams[name]
        self.expected[end] += len(model.waits) + model.notice
        self.done |= {jti for jti, owner in self.seen.items() if owner == name}
        model.waits, model.notice = [], False


TestDeliveries = Deliveries.TestCase
TestDeliveries.settings = hypothesis_settings(max_examples=60, stateful_step_count=40, deadline=None)

PUBLISHING = """
import asyncio, sys
from pathlib import Path
import aiohttp
from gateway.signals.transmitter import Store, Transmitter
from tests.gateway.telling_rig import KEY, revoked, settings

async def main():
    async with aiohttp.ClientSession() as session:
        transmitter = Transmitter(Store(Path(sys.argv[1])), settings(max_waiting=1_000_000), lambda: KEY, session)
        print("ready", flush=True)
        async def publish(number):
            if await transmitter.publish(revoked(str(number))) == 1:
                print(number, flush=True)
        for start in range(0, 10**9, 16):
            await asyncio.gather(*(publish(start + one) for one in range(16)))

asyncio.run(main())
"""


@pytest.mark.parametrize("acknowledgements", [1, 60, 500])
async def test_nothing_acknowledged_is_lost_when_the_process_is_killed(tmp_path: Path, acknowledgements: int) -> None:
    """SIGKILL at an arbitrary instant: whatever it had said is durable is delivered, in order."""
    async with office(tmp_path) as desk:
        name = await desk.create()
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        textwrap.dedent(PUBLISHING),
        str(tmp_path / "signals.db"),
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
        stdout=asyncio.subprocess.PIPE,
    )
    assert child.stdout
    async with asyncio.timeout(DEADLINE):
        said = [await child.stdout.readline() for _ in range(acknowledgements + 1)]
        child.send_signal(signal.SIGKILL)
        said += (await child.stdout.read()).splitlines(keepends=True)
        await child.wait()
    acknowledged = [int(line) for line in said[1:] if line.endswith(b"\n")]
    heard: list[int] = []
    async with office(tmp_path, settings(max_waiting=1_000_000)) as desk:
        sets: dict[str, Any] = {}
        while sets := await desk.poll(name, ack=[*sets]):
            heard += map(int, emails(sets.values()))
    assert heard == sorted(set(heard))
    assert {*acknowledged} <= {*heard}
    assert len(acknowledged) >= acknowledgements


async def test_what_cannot_be_written_is_not_acknowledged(tmp_path: Path) -> None:
    """Another process holds the file: publishing fails, asking is answered 503, and then everything works again."""
    async with office(tmp_path) as desk:
        name = await desk.create()
        desk_rows = sqlite3.connect(tmp_path / "signals.db", isolation_level=None)
        desk_rows.execute("BEGIN IMMEDIATE")
        forgotten = desk.transmitter.publish(revoked("nobody waits for it"))
        with pytest.raises(TransmitterUnwritable):
            await desk.transmitter.publish(revoked("lost"))
        del forgotten
        desk_rows.execute("ROLLBACK")
        desk_rows.close()
        assert await desk.transmitter.publish(revoked("kept")) == 1
        assert emails((await desk.poll(name)).values()) == ["kept"]


async def test_a_closed_transmitter_takes_nothing(tmp_path: Path) -> None:
    async with aiohttp.ClientSession() as session:
        transmitter = await Transmitter.open(tmp_path / "signals.db", settings(), lambda: KEY, session)
        await transmitter.close()
        with pytest.raises(TransmitterUnwritable):
            await transmitter.publish(revoked())


def test_a_file_that_is_none_of_ours_is_not_opened(tmp_path: Path) -> None:
    (tmp_path / "signals.db").write_bytes(b"no database" * 1000)
    with pytest.raises(TransmitterUnreadable):
        Store(tmp_path / "signals.db")


def test_the_file_is_for_this_user_alone(tmp_path: Path) -> None:
    """Receivers' authorization headers lie in it."""
    Store(tmp_path / "signals.db").close()
    assert (tmp_path / "signals.db").stat().st_mode & 0o777 == 0o600
