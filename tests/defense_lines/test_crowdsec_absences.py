"""What bouncers hear after they, or we, were away; and how soon all of it."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from defense_lines import Hub, Ledger, Pace
from defense_lines.ledger import Lift, Posture, Restored
from defense_lines.lines.crowdsec import Addresses, Bouncer, BouncerApi, Bouncers, Link, application, recall
from defense_lines.lines.crowdsec.answer import PIECE
from defense_lines.lines.crowdsec.decision import Changes, Filters
from deploy.demo.ports import free_port
from policy import BlockPolicy
from tests.defense_lines.bouncer_rig import KEY, NAME, Follower, eventually, site
from tests.defense_lines.line_rig import block, permit

BOUNCER = Bouncer(NAME, KEY, hold=0.2)
STREAM = "/v1/decisions/stream"
FORGOTTEN = "portcullis_defense_lines_bouncer_forgotten_total"
DAY = 86_400.0


class Story:
    """A ledger, our end that comes and goes, and a bouncer with one connection."""

    def __init__(self, ledger: Ledger, session: aiohttp.ClientSession, port: int) -> None:
        self.ledger, self.session, self.port = ledger, session, port
        self.follower: Follower | None = None
        self._site = AsyncExitStack()

    async def open(self, away: float = 60.0) -> None:
        ours = await self._site.enter_async_context(site(self.ledger, [BOUNCER], away, self.port))
        self.follower = ours.follower

    async def close(self) -> None:
        await self._site.aclose()

    async def poll(self, **parameters: str) -> tuple[set[str], set[str]]:
        """What comes and what goes."""
        async with self.session.get(STREAM, params=parameters, headers={"X-Api-Key": KEY}) as answer:
            told: dict[str, list[dict[str, Any]] | None] = await answer.json()
            return values(told["new"]), values(told["deleted"])

    async def polls(self) -> tuple[set[str], set[str]]:
        """All that it is told until there is nothing more."""
        new, deleted = await self.poll()
        while (more := await self.poll()) != (set(), set()):
            new, deleted = new | more[0], deleted | more[1]
        return new, deleted

    async def order(self, address: str, ttl: float = 600) -> BlockPolicy:
        wanted = block("address", address, ttl)
        await self.ledger.append(permit(wanted))
        return wanted

    async def lift(self, lifted: BlockPolicy) -> None:
        await self.ledger.append(Lift(block=lifted.id, by="analyst:jo", reason="test"))

    async def is_away(self) -> None:
        async def so() -> bool:
            return self.follower is not None and not self.follower.lines

        await eventually(so)


@pytest.fixture
async def story(tmp_path: Path) -> AsyncIterator[Story]:
    port, one = free_port(), aiohttp.TCPConnector(limit=1)
    async with (
        asyncio.timeout(20),
        await Ledger.open(tmp_path / "ledger") as ledger,
        aiohttp.ClientSession(f"http://127.0.0.1:{port}", connector=one) as session,
    ):
        told = Story(ledger, session, port)
        yield told
        await told.close()


def values(decisions: list[dict[str, Any]] | None) -> set[str]:
    return {decision["value"] for decision in decisions or ()}


async def until(moment: float) -> None:
    await asyncio.sleep(max(0.0, moment - time.time()))


async def test_what_ended_while_the_bouncer_was_away_is_told(story: Story) -> None:
    await story.open(away=0.1)
    ends, lifted = await story.order("198.51.100.1", 1.2), await story.order("198.51.100.2", 1.2)
    await story.order("198.51.100.3")
    assert (await story.poll(startup="true"))[0] == {f"198.51.100.{number}" for number in (1, 2, 3)}
    await story.polls()
    await story.is_away()
    await story.lift(lifted)
    await story.order("198.51.100.4")
    await until(ends.expires + 0.3)
    assert await story.polls() == ({"198.51.100.4"}, {"198.51.100.1", "198.51.100.2"})


async def test_what_ended_while_we_were_away_is_told(story: Story) -> None:
    await story.open()
    ends, lifted = await story.order("198.51.100.1", 0.6), await story.order("198.51.100.2", 0.6)
    still = await story.order("198.51.100.3")
    assert len((await story.poll(startup="true"))[0]) == 3
    await story.close()
    await story.lift(lifted)
    await story.lift(still)
    await story.order("198.51.100.4")
    await until(ends.expires)
    await story.open()
    assert await story.polls() == ({"198.51.100.4"}, {f"198.51.100.{number}" for number in (1, 2, 3)})


async def test_a_bouncer_that_starts_anew_is_not_told_what_it_never_had(story: Story) -> None:
    await story.open()
    await story.lift(await story.order("198.51.100.1"))
    await story.order("198.51.100.2")
    assert await story.poll(startup="true") == ({"198.51.100.2"}, set())


async def test_all_that_stands_is_in_the_first_answer_and_proved_by_two_polls_more(story: Story) -> None:
    wanted = [block(value=f"198.18.{number >> 8}.{number & 255}") for number in range(1200)]
    await story.ledger.append_all([permit(each) for each in wanted])
    await story.open()
    assert await story.poll(startup="true") == ({each.target.value for each in wanted}, set())
    assert await story.poll() == (set(), set())
    last = asyncio.ensure_future(story.poll())
    assert story.follower
    await story.follower.told(story.ledger.head.seq)
    assert await last == (set(), set())


async def test_however_much_is_ordered_is_in_one_answer(story: Story) -> None:
    await story.open()
    for parameters in ({"startup": "true"}, {}):
        await story.poll(**parameters)
    poll = asyncio.ensure_future(story.poll())
    wanted = [block(value=f"198.18.{number >> 8}.{number & 255}") for number in range(1200)]
    await story.ledger.append_all([permit(each) for each in wanted])
    assert await poll == ({each.target.value for each in wanted}, set())


async def test_a_bouncer_that_polls_seldom_has_receipts_for_all_after_three_polls(tmp_path: Path) -> None:
    async with (
        asyncio.timeout(20),
        asyncio.TaskGroup() as tasks,
        await Ledger.open(tmp_path / "ledger") as ledger,
    ):
        await ledger.append_all([permit(block(value=f"198.18.{n >> 8}.{n & 255}")) for n in range(120)])
        addresses = Addresses()
        ledger.watch(addresses.committed)
        await recall(addresses, ledger, DAY, time.time(), time.time())
        hub = Hub(ledger, pace=Pace(deadline=0.02, longest=0.05, batch=50), expected=[NAME])
        bouncers, link = Bouncers([BOUNCER], addresses, hub, in_service), Link(lambda: None)
        running = tasks.create_task(hub.run())
        for startup in (True, False, False):
            await bouncers.poll(BOUNCER, link, Filters(), startup)
            await asyncio.sleep(0.15)  # longer than the hub waits for a batch, again and again

        async def told() -> bool:
            return (hub.status()[0].pending, hub.status()[0].enforced) == (0, 120)

        await eventually(told)
        running.cancel()


async def test_an_end_is_recalled_for_a_day_whatever_stands_there_now(tmp_path: Path) -> None:
    now = time.time()
    async with await Ledger.open(tmp_path / "ledger") as ledger:
        for address, ttl in (("198.51.100.1", 10.0), ("198.51.100.2", DAY / 2), ("198.51.100.3", 10.0)):
            await ledger.append(permit(block("address", address, ttl)))
        await ledger.append(permit(block("address", "198.51.100.3", DAY - 1)))
        await ledger.append(permit(block("principal", "person:jo", 10.0)))
    for later, ends in ((DAY - 100, {1, 2, 3}), (DAY + 100, {2, 3}), (2 * DAY - 10, {3}), (3 * DAY, set())):
        async with await Ledger.open(tmp_path / "ledger", clock=partial(float, now + later)) as ledger:
            addresses = Addresses()
            await recall(addresses, ledger, DAY, now + later, now + later)
            gone = {change.target.value for change in addresses.journal.since(0)}
            assert gone == {f"198.51.100.{number}" for number in ends}, later


async def test_what_ended_is_told_where_a_block_for_another_line_stands(story: Story) -> None:
    ends = await story.order("198.51.100.1", 0.3)
    await story.ledger.append(permit(block("address", "198.51.100.1", lines=("web",))))
    await until(ends.expires)
    await story.open()
    assert await story.polls() == (set(), {"198.51.100.1"})


async def test_ends_that_recall_has_no_room_for_are_counted(tmp_path: Path) -> None:
    before = REGISTRY.get_sample_value(FORGOTTEN, {"line": NAME}) or 0.0
    async with await Ledger.open(tmp_path / "ledger") as ledger:
        ended = [block() for _ in range(8)]
        await ledger.append_all([permit(each) for each in ended])
        await ledger.append_all([Lift(block=each.id, by="analyst:jo", reason="test") for each in ended])
        addresses = Addresses(remembered=3)
        await recall(addresses, ledger, DAY, time.time(), time.time())
    told = await Bouncers([BOUNCER], addresses, Lines(), in_service).poll(BOUNCER, Link(lambda: None), Filters(), False)
    assert isinstance(told, Changes)
    assert [each.value for each in told.deleted or ()] == [each.target.value for each in ended[-3:]]
    assert REGISTRY.get_sample_value(FORGOTTEN, {"line": NAME}) == before + 5


@pytest.mark.parametrize(("away", "logged"), [(DAY - 100, 0), (DAY + 100, 1)])
async def test_that_we_were_away_for_more_than_a_day_is_logged(tmp_path: Path, away: float, logged: int) -> None:
    now = time.time()
    async with await Ledger.open(tmp_path / "ledger", clock=partial(float, now - away)) as ledger:
        await ledger.append(permit(block()))
    async with await Ledger.open(tmp_path / "ledger", clock=partial(float, now - 5)) as ledger:
        await ledger.append(Restored(after=1))  # by whoever puts a backup back
    async with await Ledger.open(tmp_path / "ledger", clock=partial(float, now + 1)) as ledger:
        await ledger.append(Posture(line=NAME, state="in_service", by="analyst:jo", reason="test"))
        with capture_logs() as logs:
            await recall(Addresses(), ledger, DAY, now + 2, now)
    assert [round(each["seconds"]) for each in logs if "seconds" in each] == [round(away) + 2] * logged


async def test_what_was_forgotten_before_a_bouncer_asked_is_counted_and_all_that_stands_told() -> None:
    hub = Lines()
    addresses = Addresses(remembered=3)
    bouncers, link = Bouncers([BOUNCER], addresses, hub, in_service), Link(lambda: None)
    first = block()
    addresses.put(first)
    await bouncers.poll(BOUNCER, link, Filters(), True)
    before = REGISTRY.get_sample_value(FORGOTTEN, {"line": NAME}) or 0.0
    more = [block() for _ in range(5)]
    for each in more:
        addresses.put(each)
    told = await bouncers.poll(BOUNCER, link, Filters(), False)
    assert isinstance(told, Changes)
    assert [each.value for each in told.new or ()] == [each.target.value for each in (first, *more)]
    assert REGISTRY.get_sample_value(FORGOTTEN, {"line": NAME}) == before + 2


async def test_what_ends_after_a_first_answer_that_may_not_have_come_is_told() -> None:
    addresses = Addresses()
    bouncers = Bouncers([BOUNCER], addresses, Lines(), in_service)
    ends, stands = block(), block()
    addresses.put(ends)
    addresses.put(stands)
    await bouncers.poll(BOUNCER, Link(lambda: None), Filters(), True)
    addresses.lift(ends.id)
    told = await bouncers.poll(BOUNCER, Link(lambda: None), Filters(), False)
    assert isinstance(told, Changes)
    assert [each.value for each in told.deleted or ()] == [ends.target.value]
    assert [each.value for each in told.new or ()] == [stands.target.value]


async def test_an_answer_in_pieces_is_json_and_stands_for_the_moment_of_each_piece() -> None:
    addresses, sent = Addresses(block() for _ in range(3 * PIECE)), list[bytes]()
    last = addresses.known()[-1]

    async def send(message: dict[str, Any]) -> None:
        sent.append(message.get("body", b""))
        if len(sent) == 4:
            addresses.lift(last.id)

    await asked(addresses, Link(lambda: None), send)
    told = json.loads(b"".join(sent))
    assert told["deleted"] is None
    assert len(told["new"]) == 3 * PIECE - 1


async def test_a_bouncer_that_takes_no_more_of_an_answer_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(application, "TAKEN", 0.02)
    cut = asyncio.Event()

    async def send(message: dict[str, Any]) -> None:
        if "body" in message:
            await asyncio.get_running_loop().create_future()

    await asked(Addresses(block() for _ in range(2 * PIECE)), Link(cut.set), send)
    assert cut.is_set()


async def test_an_answer_to_nobody_ends() -> None:
    link, sent = Link(lambda: None), list[dict[str, Any]]()

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)
        if len(sent) == 3:
            link.ended(in_order=False)

    await asked(Addresses(block() for _ in range(9 * PIECE)), link, send)
    assert len(sent) == 3


async def asked(addresses: Addresses, link: Link, send: Callable[[Any], Awaitable[None]]) -> None:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request"}

    scope = {"type": "http", "method": "GET", "path": STREAM, "query_string": b"startup=true", "state": {"link": link}}
    scope["headers"] = [(b"x-api-key", KEY.encode())]
    await BouncerApi(Bouncers([BOUNCER], addresses, Lines(), in_service))(scope, receive, send)


def in_service(_: str) -> None:
    """Nothing was ever said of any line."""


class Lines:
    """A hub that drives nothing."""

    def attach(self, line: object) -> None:
        pass

    def detach(self, line: object) -> None:
        pass
