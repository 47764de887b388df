import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import aiomqtt
import msgspec
import pytest

from deploy.demo.ports import free_port
from telemetry import Event, EventBatch, Rejects, Topic, subscribe

MOSQUITTO = shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin:/sbin")
TOPIC = "portcullis/telemetry/endpoint/laptop-7"


@pytest.fixture
def port() -> int:
    if MOSQUITTO is None:
        pytest.skip("needs mosquitto")
    return free_port()


@asynccontextmanager
async def broker(port: int, folder: Path) -> AsyncIterator[None]:
    """A Mosquitto that is up."""
    config = folder / "mosquitto.conf"
    config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n")
    assert MOSQUITTO
    process = await asyncio.create_subprocess_exec(MOSQUITTO, "-c", config, stderr=asyncio.subprocess.DEVNULL)
    try:
        async with asyncio.timeout(10):
            while not await _accepts(port):  # noqa: ASYNC110  another process's port makes no event
                await asyncio.sleep(0.02)
        yield
    finally:
        process.terminate()
        await process.wait()


async def _accepts(port: int) -> bool:
    with suppress(OSError):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.close()
        await writer.wait_closed()
        return True
    return False


class Subscriber:
    """A running `subscribe`, and what it published."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.rejects = Rejects()
        self.subscribed = asyncio.Event()
        self._more = asyncio.Event()

    def publish(self, batch: EventBatch) -> None:
        self.events += batch.events()
        self._more.set()

    async def until(self, done: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not done():
                self._more.clear()
                await self._more.wait()


@asynccontextmanager
async def subscriber(port: int, identifier: str | None = None) -> AsyncIterator[Subscriber]:
    one, stop = Subscriber(), asyncio.Event()
    topic = Topic(host="127.0.0.1", port=port, topic="portcullis/telemetry/#", identifier=identifier)
    async with asyncio.TaskGroup() as group:
        group.create_task(subscribe(topic, one.publish, stop, rejects=one.rejects, on_subscribed=one.subscribed.set))
        yield one
        stop.set()


def report(n: int) -> bytes:
    return msgspec.json.encode({"time": n + 1.0, "host": f"laptop-{n}", "event": "boot", "user": "person:tina"})


async def send(port: int, *messages: bytes) -> None:
    async with aiomqtt.Client("127.0.0.1", port) as client:
        for message in messages:
            await client.publish(TOPIC, message, qos=1)


async def test_reports_become_events_in_order_and_malformed_ones_are_kept_aside(port: int, tmp_path: Path) -> None:
    async with broker(port, tmp_path), subscriber(port) as one:
        async with asyncio.timeout(10):
            await one.subscribed.wait()
        await send(port, report(0), b"{", b"x" * 100_000, report(1), report(2))
        await one.until(lambda: len(one.events) == 3)
    assert [event.peer for event in one.events] == ["laptop-0", "laptop-1", "laptop-2"]
    assert {(event.source, event.subject) for event in one.events} == {("mqtt:endpoint", "person:tina")}
    assert one.rejects.counts == {("mqtt:endpoint", "not_json"): 1, ("mqtt:endpoint", "too_long"): 1}


async def test_a_broker_that_comes_late_or_comes_back_is_found(port: int, tmp_path: Path) -> None:
    async with subscriber(port) as one:
        for n in range(2):
            one.subscribed.clear()
            async with broker(port, tmp_path):
                async with asyncio.timeout(10):
                    await one.subscribed.wait()
                await send(port, report(n))
                await one.until(lambda expected=n + 1: len(one.events) == expected)  # type: ignore[misc]
    assert [event.time for event in one.events] == [1.0, 2.0]


async def test_it_stops_without_a_broker(port: int) -> None:
    async with asyncio.timeout(5), subscriber(port):
        await asyncio.sleep(0)


async def test_a_burst_comes_whole(port: int, tmp_path: Path) -> None:
    async with broker(port, tmp_path), subscriber(port) as one:
        async with asyncio.timeout(10):
            await one.subscribed.wait()
        await send(port, *(report(n) for n in range(300)))
        await one.until(lambda: len(one.events) == 300)
    assert [event.time for event in one.events] == [n + 1.0 for n in range(300)]


async def test_with_an_identifier_the_broker_keeps_what_comes_while_we_are_away(port: int, tmp_path: Path) -> None:
    async with broker(port, tmp_path), asyncio.timeout(15):
        async with subscriber(port, "gateway-1") as one:
            await one.subscribed.wait()
        await send(port, report(0))
        async with subscriber(port, "gateway-1") as two:
            await two.until(lambda: len(two.events) == 1)
    assert (len(one.events), two.events[0].peer) == (0, "laptop-0")


def test_a_password_is_not_shown() -> None:
    assert "secret" not in repr(Topic(host="h", port=1, topic="t", password="secret"))
