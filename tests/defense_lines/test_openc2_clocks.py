"""A rule ends when it was meant to and is lifted when it is told to, whatever is done to clocks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from defense_lines.agent import Firewall
from defense_lines.agent.actuation import since_boot
from defense_lines.agent.actuator import Actuator, actuate
from defense_lines.agent.elements import elements
from defense_lines.agent.openc2_command import read_command
from defense_lines.agent.openc2_message import Response, read_response, request, update
from defense_lines.agent.openc2_profile import Consumer
from tests.defense_lines.nftables_rig import Namespace, namespaces

TABLE = "portcullis_oc2"
BLOCK, NETWORK = "b-00000000000000aa", "198.51.100.7/32"
HOUR = 3600.0


@pytest.fixture
def host() -> Iterator[Namespace]:
    with namespaces(1) as (only,):
        yield only


def left() -> list[float]:
    """Seconds that are left of each rule in the kernel."""
    return [element.left or 0.0 for element in elements(TABLE, "ipv4_32")]


class Scene:
    """A consumer over the kernel, by a clock that can be set."""

    def __init__(self, clock: Callable[[], float] = since_boot) -> None:
        self.ahead = 0.0
        self._clock = clock
        firewall = Firewall(TABLE, ("saddr", "daddr"))
        firewall.ensure(clock())
        self._actuator = Actuator(firewall, lambda: self._clock() + self.ahead)
        self._consumer = Consumer("fw-1", self._actuator)

    async def start(self) -> None:
        await self._consumer.start()

    async def told(self, seconds: float = 0.0, lift: str = "") -> Response:
        command = update([(BLOCK, NETWORK, seconds)] if seconds else [], [lift] if lift else [])
        reply = await self._consumer.answer(read_command(request("r-1", "soc", 1.0, command)))
        answer = read_response(reply.payload) if reply else None
        assert answer is not None
        assert (answer.status, answer.notes) == (200, [])
        return answer

    def close(self) -> None:
        self._actuator.close()


def test_what_has_ended_by_our_clock_and_not_by_the_kernels_is_lifted_all_the_same(host: Namespace) -> None:
    async def story() -> None:
        scene = Scene()
        await scene.start()
        await scene.told(600)
        scene.ahead = HOUR  # a host that slept: its kernel's timeouts slept too
        await scene.told(lift=BLOCK)
        assert left() == []
        scene.close()

    host.loop(story())


def test_a_new_process_goes_by_what_is_left_in_the_kernel(host: Namespace) -> None:
    async def story() -> None:
        before = Scene(time.time)  # as older versions had it
        await before.start()
        await before.told(600)
        before.close()
        after = Scene()
        await after.start()
        (order,) = await after._actuator.active()
        assert order.expires == pytest.approx(since_boot() + 600, abs=5)
        await after.told(60)  # told again, and shorter
        assert left() == [pytest.approx(60, abs=5)]
        await after.told(lift=BLOCK)
        assert left() == []
        after.close()

    host.loop(story())


def test_the_consumer_counts_since_its_hosts_boot(host: Namespace) -> None:
    async def story() -> None:
        async with actuate(Firewall(TABLE)) as actuator:
            assert actuator.clock() == pytest.approx(since_boot(), abs=5)

    host.loop(story())


def test_numbers_go_on_after_the_book_was_read_anew(host: Namespace) -> None:
    async def story() -> None:
        wall, began = Scene(), int(time.time())
        await wall.start()
        for number in range(3):
            await wall.told(600)
            await wall.told(lift=BLOCK)
            await wall.told(lift=f"b-{number:016x}")  # which it does not know
        await wall.told(600)
        (order,) = await wall._actuator.active()
        assert int(order.id.partition("/")[0]) > began + 3
        wall.close()

    host.loop(story())
