"""The producer's line over a real Mosquitto, to our consumer and to consumers that misbehave."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import aiomqtt
import msgspec
import pytest
from prometheus_client import REGISTRY

from defense_lines.agent import Firewall
from defense_lines.agent.openc2_command import Deny, read_command
from defense_lines.agent.openc2_message import response
from defense_lines.agent.openc2_mqtt import CONTENT_TYPE, Broker, client, is_command, properties, publish
from defense_lines.line import LineUnavailable
from defense_lines.lines.openc2 import OpenC2Line
from tests.defense_lines.nftables_rig import namespaces
from tests.defense_lines.openc2_rig import Mosquitto, consumer, mosquitto, producer
from tests.defense_lines.test_nftables_line import block, capabilities

PATIENCE = 50.0  # seconds
LOST = "portcullis_defense_lines_openc2_connections_lost_total"


def in_namespace(work: Callable[[], Awaitable[None]]) -> None:
    async def story() -> None:
        async with asyncio.timeout(PATIENCE):
            await work()

    with namespaces(1) as (host,):
        host.loop(story())


async def answering(line: Any) -> None:
    """Wait until the consumer at the other end has subscribed."""
    while True:
        try:
            await line.active()
        except LineUnavailable:
            await asyncio.sleep(0.01)
        else:
            return


@asynccontextmanager
async def actor(broker: Broker, answer: Callable[[bytes], list[bytes]]) -> AsyncIterator[list[aiomqtt.Message]]:
    """A consumer that answers as the test says."""
    heard: list[aiomqtt.Message] = []

    async def listen(connection: aiomqtt.Client) -> None:
        async for message in connection.messages:
            assert isinstance(message.payload, bytes)
            heard.append(message)
            for payload in answer(message.payload):
                await connection.publish("oc2/rsp/portcullis", payload, qos=1, properties=properties("rsp"))

    async with client(broker, "actor") as connection, asyncio.TaskGroup() as group:
        await connection.subscribe("oc2/cmd/ap/slpf", qos=1)
        listening = group.create_task(listen(connection))
        yield heard
        listening.cancel()


def says(*statuses: int, results: dict[str, Any] | None = None) -> Callable[[bytes], list[bytes]]:
    def answer(payload: bytes) -> list[bytes]:
        order = read_command(payload)
        return [response(order, "fw-9", 1_800_000_000.0, status, "so it is", results or {}) for status in statuses]

    return answer


def test_blocks_become_rules_in_the_kernel_and_go_again(tmp_path: Path) -> None:
    async def story() -> None:
        async with mosquitto(tmp_path) as broker, consumer(broker), producer(broker, timeout=1.0) as line:
            await answering(line)
            orders = [block(1), block(2, "2001:db8::/32", "range"), block(3, "person:a", "principal"), block(4, ttl=-1)]
            receipts = await line.apply(orders, "head-1")
            assert [receipt.outcome for receipt in receipts] == ["enforced", "enforced", "refused", "expired"]
            assert {(receipt.head, receipt.line) for receipt in receipts} == {("head-1", "openc2")}
            wall = Firewall("portcullis_oc2", ("saddr", "daddr"))
            assert len(wall.active(orders[0].created)) == 2  # the kernel's own word
            assert sorted(await line.active()) == [block(1).id, block(2).id]
            lifted = await line.revoke([block(1).id, "b-00000000000000ff"], "head-2")
            assert [receipt.outcome for receipt in lifted] == ["lifted", "lifted"]
            assert len(wall.active(orders[0].created)) == 1
            wall.close()

    in_namespace(story)


def test_a_new_producer_revokes_what_an_older_one_ordered(tmp_path: Path) -> None:
    async def story() -> None:
        async with mosquitto(tmp_path) as broker, consumer(broker):
            async with producer(broker) as line:
                await answering(line)
                await line.apply([block(1)], "")
            async with producer(broker) as line:
                assert (await line.revoke([block(1).id], ""))[0].outcome == "lifted"
                assert await line.active() == []

    in_namespace(story)


def test_commands_travel_as_the_specification_says(tmp_path: Path) -> None:
    async def story() -> None:
        async with mosquitto(tmp_path) as broker, actor(broker, says(200)) as heard, producer(broker) as line:
            await line.apply([block(1)], "")
            (message,) = heard
            assert (message.qos, message.retain) == (1, False)
            assert is_command(message)
            assert getattr(message.properties, "ContentType", "") == CONTENT_TYPE
            assert isinstance(message.payload, bytes)
            command = msgspec.json.decode(message.payload)["body"]["openc2"]["request"]
            assert command["args"]["slpf"] == {"drop_process": "none", "persistent": False, "direction": "ingress"}
            assert command["command_id"] == block(1).id
            assert isinstance(read_command(message.payload).action, Deny)

    in_namespace(story)


@pytest.mark.parametrize(
    ("statuses", "outcome"),
    [
        ((102, 200), "enforced"),
        ((501,), "refused"),
        ((400,), "refused"),
        ((403,), "refused"),
        ((500,), "failed"),
        ((503,), "failed"),
        ((299,), "failed"),
        ((501, 200), "refused"),  # the first final answer counts
    ],
)
def test_only_the_actuators_200_is_enforced(tmp_path: Path, statuses: tuple[int, ...], outcome: str) -> None:
    async def story() -> None:
        results = {"slpf": {"rule_number": 7}}
        async with (
            mosquitto(tmp_path) as broker,
            actor(broker, says(*statuses, results=results)),
            producer(broker) as line,
        ):
            (receipt,) = await line.apply([block(1)], "")
            assert receipt.outcome == outcome
            assert ("rule 7" if outcome == "enforced" else str(statuses[0])) in receipt.detail

    in_namespace(story)


def test_an_accepted_command_that_is_never_done_is_not_enforced(tmp_path: Path) -> None:
    async def story() -> None:
        async with mosquitto(tmp_path) as broker, actor(broker, says(102)), producer(broker, timeout=0.2) as line:
            with pytest.raises(LineUnavailable):
                await line.apply([block(1)], "")

    in_namespace(story)


def test_an_actuator_that_cannot_list_is_taken_at_its_word(tmp_path: Path) -> None:
    def answer(payload: bytes) -> list[bytes]:
        return says(200 if isinstance(read_command(payload).action, Deny) else 501)(payload)

    async def story() -> None:
        async with mosquitto(tmp_path) as broker, actor(broker, answer), producer(broker) as line:
            await line.apply([block(1)], "")
            assert await line.active() == [block(1).id]
            (receipt,) = await line.revoke([block(1).id], "")
            assert receipt.outcome == "failed"  # it gave no rule number

    in_namespace(story)


def test_junk_answers_are_passed_over(tmp_path: Path) -> None:
    def answer(payload: bytes) -> list[bytes]:
        stranger = read_command(payload.replace(b'"request_id":"', b'"request_id":"x'))
        return [
            b"\xff",
            b'{"a":"\xff"}',
            b"[]",
            b"[" * 50_000,
            response(stranger, "x", 1.0, 200, "", {}),
            *says(501)(payload),
        ]

    async def story() -> None:
        async with mosquitto(tmp_path) as broker, actor(broker, answer), producer(broker) as line:
            assert (await line.apply([block(1)], ""))[0].outcome == "refused"

    in_namespace(story)


def test_whoever_asks_is_told_once_of_each_connection(tmp_path: Path) -> None:
    async def story() -> None:
        told: list[bool] = []
        server = Mosquitto(tmp_path)
        await server.start()
        line = OpenC2Line(server.broker)
        async with asyncio.TaskGroup() as group:
            running = group.create_task(line.run(lambda: told.append(line.connected.is_set())))
            await line.connected.wait()
            assert told == [True]
            await server.kill()
            while line.connected.is_set():  # noqa: ASYNC110 - nothing else tells of the loss
                await asyncio.sleep(0.01)
            await server.start()
            await line.connected.wait()
            assert told == [True, True]
            running.cancel()
        await server.kill()

    in_namespace(story)


@pytest.mark.parametrize(
    "part", ["defense_lines.lines.openc2.read_response", "defense_lines.agent.openc2_consumer.read_command"]
)
def test_a_fault_in_reading_costs_a_connection_and_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    faults = REGISTRY.get_sample_value(LOST, {"why": "fault"}) or 0

    def fail(_: bytes) -> None:
        monkeypatch.undo()
        raise RuntimeError("a bug")

    async def story() -> None:
        async with mosquitto(tmp_path) as broker, consumer(broker), producer(broker, timeout=0.5) as line:
            await answering(line)
            monkeypatch.setattr(part, fail)
            with pytest.raises(LineUnavailable):
                await line.active()
            await answering(line)  # both ends are there again
            assert (await line.apply([block(1)], ""))[0].outcome == "enforced"

    in_namespace(story)
    assert REGISTRY.get_sample_value(LOST, {"why": "fault"}) == faults + 1


async def test_a_cancellation_in_the_moment_of_the_brokers_answer_is_heeded() -> None:
    answered = asyncio.get_running_loop().create_future()

    class Connection:
        _client = SimpleNamespace(socket=lambda: None)

        async def publish(self, *_: object, **__: object) -> None:
            await asyncio.wait_for(answered, 10)  # as aiomqtt waits for the PUBACK

    async def listen() -> None:
        await publish(cast("aiomqtt.Client", Connection()), "oc2/rsp", b"", properties("rsp"))
        await asyncio.get_running_loop().create_future()

    listening = asyncio.create_task(listen())
    await asyncio.sleep(0)
    answered.set_result(None)
    listening.cancel()
    await asyncio.wait([listening], timeout=1)
    assert listening.cancelled()


def test_a_lost_broker_is_line_unavailable_until_it_is_back(tmp_path: Path) -> None:
    async def story() -> None:
        server = Mosquitto(tmp_path)
        await server.start()
        async with producer(server.broker) as line, consumer(server.broker):
            await answering(line)
            await line.apply([block(1)], "")
            await server.kill()
            with pytest.raises(LineUnavailable):
                await line.apply([block(2)], "")
            while line.connected.is_set():  # noqa: ASYNC110 - nothing else tells of the loss
                await asyncio.sleep(0.01)
            await server.start()
            await line.connected.wait()
            await answering(line)
            assert await line.active() == [block(1).id]  # the rule stood all the while
        await server.kill()

    in_namespace(story)


def test_the_program_answers_with_net_admin_alone(tmp_path: Path) -> None:
    async def story() -> None:
        async with mosquitto(tmp_path) as broker, producer(broker) as line:
            module = ("-m", "defense_lines.agent.openc2_consumer", "--device", "fw-1", "--port", str(broker.port))
            child = await asyncio.create_subprocess_exec(sys.executable, *module, stdout=asyncio.subprocess.DEVNULL)
            await answering(line)
            assert capabilities(child.pid) == {"0000000000001000"}
            assert (await line.apply([block(1)], ""))[0].outcome == "enforced"
            child.terminate()
            assert await child.wait() == 0

    in_namespace(story)
