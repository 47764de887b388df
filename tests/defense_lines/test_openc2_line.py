"""The producer's lines over a real Mosquitto, to consumers of ours and to consumers that misbehave."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from prometheus_client import REGISTRY

from defense_lines.agent import Firewall
from defense_lines.agent.actuation import since_boot
from defense_lines.agent.openc2_command import Deny, ListOrders, Update, read_command
from defense_lines.agent.openc2_message import response
from defense_lines.agent.openc2_mqtt import Broker, Connection, kind, stay_connected
from defense_lines.agent.openc2_outbox import CONTENT_TYPE, Outgoing
from defense_lines.agent.openc2_seal import enrol, seal_answer
from defense_lines.line import Digest, LineBroken, LineUnavailable, Orders, Receipts
from defense_lines.lines.openc2 import OpenC2Line
from defense_lines.lines.openc2_foreign import ForeignLine
from defense_lines.lines.openc2_producer import Producer
from tests.defense_lines.nftables_rig import namespaces
from tests.defense_lines.openc2_rig import (
    KEY,
    STRAY,
    Filter,
    Mosquitto,
    answering,
    block,
    consumers,
    counted,
    ids,
    kernel_consumer,
    mosquitto,
    orders,
    producer,
    running,
    tap,
)

PATIENCE = 50.0  # seconds
LOST = "portcullis_defense_lines_openc2_connections_lost_total"
Answer = Callable[[bytes], list[bytes]]


@pytest.fixture(autouse=True)
async def patience() -> AsyncIterator[None]:
    """Every wait in this module ends with its test."""
    async with asyncio.timeout(PATIENCE):
        yield


def in_namespace(work: Callable[[], Awaitable[None]]) -> None:
    async def story() -> None:
        async with asyncio.timeout(PATIENCE):
            await work()

    with namespaces(1) as (host,):
        host.loop(story())


@asynccontextmanager
async def actor(broker: Broker, answer: Answer, device: str = "fw-0") -> AsyncIterator[list[bytes]]:
    """A consumer that answers as the test says."""
    heard: list[bytes] = []
    there = asyncio.Event()

    def received(connection: Connection, message: Any) -> None:
        connection.acknowledge(message)
        heard.append(message.payload)
        for payload in answer(message.payload):
            connection.publish(Outgoing("oc2/rsp/portcullis", payload, "rsp"))

    async def converse(connection: Connection) -> None:
        there.set()
        await connection.ended()

    topics = ("oc2/cmd/ap/x-portcullis", f"oc2/cmd/device/{device}")
    async with asyncio.TaskGroup() as group:
        task = group.create_task(stay_connected(broker, f"actor-{device}", topics, received, converse))
        await there.wait()
        yield heard
        task.cancel()


def says(*statuses: int, results: dict[str, Any] | None = None, device: str = "fw-0", sealed: bool = False) -> Answer:
    def answer(payload: bytes) -> list[bytes]:
        order = read_command(payload)
        said = {"head": msgspec.json.decode(payload)["headers"].get("x-portcullis", {}).get("head", "")}
        made = [
            response(order, device, 1_800_000_000.0, status, "so it is", results or {}, said) for status in statuses
        ]
        return [seal_answer(each, enrol(KEY, device).secret) for each in made] if sealed else made

    return answer


@asynccontextmanager
async def foreign(broker: Broker, timeout: float = 2.0) -> AsyncIterator[ForeignLine]:
    made = Producer(broker, KEY, timeout=timeout)
    line = ForeignLine("fw-0", made)
    async with running(made):
        yield line


def capabilities(pid: int) -> set[str]:
    """CapEff of every thread of a process."""
    tasks = [(task / "status").read_text() for task in Path(f"/proc/{pid}/task").iterdir()]
    return {status.partition("CapEff:\t")[2][:16] for status in tasks}


def outcomes(receipts: Receipts) -> dict[str, str]:
    return {note.block: note.outcome for note in receipts.notes}


async def one_in_each_turn(lines: Sequence[OpenC2Line], told: Orders) -> list[Receipts]:
    """As a hub tells a great many: some in each turn of the loop."""
    asked = []
    for line in lines:
        asked.append(asyncio.ensure_future(line.carry_out(told)))
        await asyncio.sleep(0)
    return await asyncio.gather(*asked)


async def test_one_message_tells_all_and_each_answers_for_itself(tmp_path: Path) -> None:
    walls = [Filter(time.time) for _ in range(5)]
    walls[3].broken = "Operation not permitted"
    async with (
        mosquitto(tmp_path) as broker,
        consumers(broker, *walls),
        producer(broker, 5) as lines,
        tap(broker) as ear,
    ):
        await answering(*lines)
        before = await ear.caught_up()
        told = orders(block(1), block(2, "2001:db8::/32", "range"))
        receipts = await one_in_each_turn(lines, told)
        assert [len(receipt.notes) for receipt in receipts] == [0, 0, 0, 2, 0]
        assert set(outcomes(receipts[3]).values()) == {"failed"}
        assert {receipt.head for receipt in receipts} == {"head-1"}
        assert [len(wall.standing) for wall in walls] == [2, 2, 2, 0, 2]
        await ear.caught_up()
        commands = [message.topic for message in ear.heard[before:] if message.topic.startswith("oc2/cmd")]
        assert commands == ["oc2/cmd/ap/x-portcullis"]


async def test_who_is_not_told_is_left_out_of_the_groups_message(tmp_path: Path) -> None:
    walls = [Filter(time.time) for _ in range(4)]
    async with mosquitto(tmp_path) as broker, consumers(broker, *walls), producer(broker, 4) as lines:
        await answering(*lines)
        told = orders(block(1), block(2))
        await asyncio.gather(*(line.carry_out(told) for line in lines[:3]))
        await lines[0].carry_out(orders(block(3)))
        await answering(*lines)  # what was sent before has been heard
        assert [sorted(wall.blocks) for wall in walls] == [
            sorted(ids([block(1), block(2), block(3)])),
            *[sorted(ids([block(1), block(2)]))] * 2,
            [],
        ]


async def test_blocks_are_lifted_by_their_ids_in_one_message(tmp_path: Path) -> None:
    walls = [Filter(time.time) for _ in range(3)]
    async with mosquitto(tmp_path) as broker, consumers(broker, *walls), producer(broker, 3) as lines:
        await answering(*lines)
        made = [block(number, f"198.51.100.{number}") for number in range(1, 4)]
        for told in (orders(*made), orders(made[0].id, "b-00000000000000ff", block(9))):
            receipts = await asyncio.gather(*(line.carry_out(told) for line in lines))
            assert [receipt.notes for receipt in receipts] == [()] * 3
        assert all(wall.blocks == ids([made[1], made[2], block(9)]) for wall in walls)


async def test_ten_thousand_orders_go_in_a_few_messages(tmp_path: Path) -> None:
    wall = Filter(time.time)
    async with mosquitto(tmp_path) as broker, consumers(broker, wall), producer(broker, timeout=20) as (line,):
        await answering(line)
        made = [block(number, f"10.{number >> 8}.{number & 255}.0/24", "range", ttl=600) for number in range(1, 10_001)]
        assert (await line.carry_out(orders(*made))).notes == ()
        assert wall.blocks == ids(made)
        assert await line.active(Digest.of(ids(made)), time.time()) is None
        listed = await line.active(Digest.of(ids(made[1:])), time.time())
        assert set(listed or ()) == ids(made)


async def test_what_cannot_be_done_is_noted_and_the_rest_done(tmp_path: Path) -> None:
    wall = Filter(time.time)
    async with mosquitto(tmp_path) as broker, consumers(broker, wall), producer(broker) as (line,):
        await answering(line)
        receipts = await line.carry_out(orders(block(1), block(2, "person:a", "principal"), block(3, ttl=-1)))
        assert outcomes(receipts) == {block(2).id: "refused", block(3).id: "expired"}
        assert wall.blocks == ids([block(1)])
        assert outcomes(await line.carry_out(orders(block(4, ttl=-1)))) == {block(4).id: "expired"}


async def test_a_consumer_that_starts_says_so_and_one_that_restarted_is_bound_anew(tmp_path: Path) -> None:
    here: asyncio.Queue[str] = asyncio.Queue()
    async with mosquitto(tmp_path) as broker, producer(broker, 2, reachable=here.put_nowait) as lines:
        for number in range(2):
            wall = Filter(time.time)
            async with consumers(broker, wall):
                assert await here.get() == "fw-0"
                assert (await lines[0].carry_out(orders(block(number)))).notes == ()
                assert wall.blocks == ids([block(number)])


async def test_a_producer_that_restarted_goes_on_where_the_other_ended(tmp_path: Path) -> None:
    wall = Filter(time.time)
    async with mosquitto(tmp_path) as broker, consumers(broker, wall):
        for number in range(2):
            async with producer(broker) as (line,):
                await answering(line)
                assert (await line.carry_out(orders(block(number, f"198.51.100.{number}")))).notes == ()
        assert wall.blocks == ids([block(0), block(1)])


async def test_a_consumers_clock_may_be_wrong_by_a_year(tmp_path: Path) -> None:
    year = 365 * 86_400.0
    wall = Filter(time.monotonic)
    async with (
        mosquitto(tmp_path) as broker,
        consumers(broker, wall, wall_clock=lambda: time.time() - year),
        producer(broker) as (line,),
    ):
        await answering(line)
        receipts = await line.carry_out(orders(block(1, ttl=60)))
        assert receipts.notes == ()
        assert receipts.time == pytest.approx(time.time() - year, abs=30)  # the line's own word
        (order,) = wall.standing.values()
        assert order.expires - wall.clock() == pytest.approx(60, abs=10)
        assert await line.active(Digest.of([block(1).id]), time.time()) is None


async def test_commands_travel_as_the_specification_says(tmp_path: Path) -> None:
    async with (
        mosquitto(tmp_path) as broker,
        actor(broker, says(200, sealed=True)),
        producer(broker) as (line,),
        tap(broker) as ear,
    ):
        await line.carry_out(orders(block(1)))
        (message,) = await ear.until("oc2/cmd/device/fw-0")
        assert (message.qos, message.retain, message.content_type) == (1, False, CONTENT_TYPE)
        assert (message.payload_format_indicator, message.response_topic) == (1, None)
        assert kind(message) == "req"
        body = msgspec.json.decode(message.payload)
        assert body["headers"]["from"] == "portcullis"
        command = body["body"]["openc2"]["request"]
        assert command["args"]["slpf"] == {"drop_process": "none", "persistent": False, "direction": "ingress"}
        assert command["command_id"] == block(1).id
        assert isinstance(read_command(message.payload).action, Deny)
        await line.carry_out(orders(block(1), block(2)))
        assert isinstance(read_command((await ear.until("oc2/cmd/device/fw-0", 2))[1].payload).action, Update)


@pytest.mark.parametrize("sealed", [True, False])
@pytest.mark.parametrize(
    ("statuses", "outcome"),
    [
        ((102, 200), ""),
        ((501,), "refused"),
        ((400,), "refused"),
        ((500,), "failed"),
        ((503,), "failed"),
        ((299,), "failed"),
        ((501, 200), "refused"),  # the first final answer counts
    ],
)
async def test_only_the_actuators_200_is_enforced(
    tmp_path: Path, statuses: tuple[int, ...], outcome: str, sealed: bool
) -> None:
    answer = says(*statuses, results={"slpf": {"rule_number": 7}}, sealed=sealed)
    end: Any = producer if sealed else foreign
    async with mosquitto(tmp_path) as broker, actor(broker, answer), end(broker) as made:
        line = made[0] if sealed else made
        receipts = await line.carry_out(orders(block(1)))
        assert outcomes(receipts) == ({block(1).id: outcome} if outcome else {})
        assert not outcome or str(statuses[0]) in receipts.notes[0].detail


async def test_a_late_answer_is_not_taken_for_one_to_the_next_batch(tmp_path: Path) -> None:
    late: list[bytes] = []

    def answer(payload: bytes) -> list[bytes]:
        if not late:
            late.extend(says(501, sealed=True)(payload))
            return []
        return [*late, *says(200, sealed=True)(payload)]

    async with mosquitto(tmp_path) as broker, actor(broker, answer) as heard, producer(broker) as (line,):
        given_up = asyncio.create_task(line.carry_out(orders(block(1))))
        while not heard:  # noqa: ASYNC110 - an actor tells nobody
            await asyncio.sleep(0.01)
        with pytest.raises(RuntimeError, match="before it answered"):
            await line.carry_out(orders(block(2)))
        given_up.cancel()
        await asyncio.wait([given_up])
        assert (await line.carry_out(orders(block(2)))).notes == ()


async def test_an_accepted_command_that_is_never_done_is_not_enforced(tmp_path: Path) -> None:
    answer = says(102, sealed=True)
    async with mosquitto(tmp_path) as broker, actor(broker, answer), producer(broker, timeout=0.2) as (line,):
        with pytest.raises(LineUnavailable, match="no answer"):
            await line.carry_out(orders(block(1)))


@pytest.mark.parametrize(
    ("results", "why"),
    [
        ({"x-portcullis": {"notes": [["b-00000000000000ff", "failed", ""]]}}, "other orders"),
        ({"x-portcullis": {"notes": [["b-0000000000000001", "eaten", ""]]}}, "other orders"),
        ({"x-portcullis": {"notes": 5}}, "other orders"),
    ],
)
async def test_answers_that_no_consumer_of_ours_gives_are_a_broken_line(
    tmp_path: Path, results: dict[str, Any], why: str
) -> None:
    answer = says(200, results=results, sealed=True)
    async with mosquitto(tmp_path) as broker, actor(broker, answer), producer(broker) as (line,):
        with pytest.raises(LineBroken, match=why):
            await line.carry_out(orders(block(1), block(2)))
        with pytest.raises(LineBroken, match="no list"):
            await line.active(Digest(), time.time())


async def test_a_foreign_consumer_gets_plain_slpf_and_deletes_by_rule_number(tmp_path: Path) -> None:
    async with (
        mosquitto(tmp_path) as broker,
        actor(broker, says(200, results={"slpf": {"rule_number": 7}})) as heard,
        foreign(broker) as line,
    ):
        assert (await line.carry_out(orders(block(1), block(2)))).notes == ()
        assert (await line.carry_out(orders(block(1).id, "b-00000000000000ff"))).notes[0].outcome == "refused"
        actions = [msgspec.json.decode(payload) for payload in heard]
        assert not any("signature" in said or "x-portcullis" in said["headers"] for said in actions)
        requests = [said["body"]["openc2"]["request"] for said in actions]
        assert [said["action"] for said in requests] == ["deny", "deny", "delete"]
        assert requests[2]["target"] == {"slpf:rule_number": 7}
        assert not line.capabilities.lists


async def test_junk_answers_are_passed_over_and_counted(tmp_path: Path) -> None:
    def answer(payload: bytes) -> list[bytes]:
        stranger = payload.replace(b'"request_id":"', b'"request_id":"x')
        return [
            b"\xff",
            b'{"a":"\xff"}',
            b"[]",
            b"[" * 50_000,
            *says(200, sealed=True)(stranger),  # to another request
            *says(200)(payload),  # without a seal
            *says(200, device="fw-1", sealed=True)(payload),  # of another device
            *says(501, sealed=True)(payload),
        ]

    before = {what: counted(STRAY, what=what) for what in ("malformed", "unknown", "forged")}
    async with mosquitto(tmp_path) as broker, actor(broker, answer), producer(broker, 2) as (line, _):
        assert set(outcomes(await line.carry_out(orders(block(1)))).values()) == {"refused"}
    after = {what: counted(STRAY, what=what) - before[what] for what in before}
    assert after == {"malformed": 4, "unknown": 2, "forged": 1}


async def test_a_killed_broker_is_line_unavailable_until_it_is_back_empty(tmp_path: Path) -> None:
    here: asyncio.Queue[str] = asyncio.Queue()
    walls = [Filter(time.time) for _ in range(3)]
    server = Mosquitto(tmp_path)
    await server.start()
    async with producer(server.broker, 3, reachable=here.put_nowait) as lines, consumers(server.broker, *walls):
        await answering(*lines)
        first, second = orders(block(1)), orders(block(2))
        await asyncio.gather(*(line.carry_out(first) for line in lines))
        await server.kill()
        failed = await asyncio.gather(*(line.carry_out(second) for line in lines), return_exceptions=True)
        assert {type(each) for each in failed} == {LineUnavailable}
        while not here.empty():
            here.get_nowait()
        await server.start()
        assert {await here.get() for _ in lines} == {"fw-0", "fw-1", "fw-2"}
        await answering(*lines)
        receipts = await asyncio.gather(*(line.carry_out(second) for line in lines))
        assert [receipt.notes for receipt in receipts] == [()] * 3
        assert all(wall.blocks == ids([block(1), block(2)]) for wall in walls)  # rules stood all the while
    await server.kill()


async def test_what_a_broker_held_up_ends_when_it_was_meant_to(tmp_path: Path) -> None:
    wall = Filter(time.time)
    server = Mosquitto(tmp_path)
    await server.start()
    async with consumers(server.broker, wall), producer(server.broker, timeout=0.5) as (line,):
        await answering(line)
        server.hold(still=True)
        held = block(1)
        with pytest.raises(LineUnavailable, match="no answer"):
            await line.carry_out(orders(held))
        await asyncio.sleep(1.5)  # that it is late is the point
        server.hold(still=False)
        while not wall.standing:  # noqa: ASYNC110 - a firewall tells nobody
            await asyncio.sleep(0.01)
        (order,) = wall.standing.values()
        assert order.expires == pytest.approx(held.expires, abs=0.5)
    await server.kill()


async def test_a_port_where_no_broker_is_costs_a_connection_and_no_more(tmp_path: Path) -> None:
    said = iter((b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x20\x03\x00\x87\x00", b"", b"\x30" + b"\xff" * 9))
    told = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if (junk := next(said, None)) is None:
            told.set()
        else:
            writer.write(junk)
        writer.close()

    before = counted(LOST, why="broker"), counted(LOST, why="fault")
    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    made = Producer(Broker(port=server.sockets[0].getsockname()[1]), KEY)
    task = asyncio.create_task(made.run())
    await told.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    server.close()
    assert (counted(LOST, why="broker") - before[0], counted(LOST, why="fault")) == (4, before[1])


@pytest.mark.parametrize(
    "part", ["defense_lines.lines.openc2_producer.read_response", "defense_lines.agent.openc2_sentry.read_command"]
)
async def test_a_fault_in_reading_costs_a_connection_and_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    faults = REGISTRY.get_sample_value(LOST, {"why": "fault"}) or 0

    def fail(_: bytes) -> None:
        monkeypatch.undo()
        raise RuntimeError("a bug")

    async with (
        mosquitto(tmp_path) as broker,
        consumers(broker, Filter(time.time)),
        producer(broker, timeout=0.5) as (line,),
    ):
        await answering(line)
        monkeypatch.setattr(part, fail)
        with contextlib.suppress(LineUnavailable):  # unless it is there again, and asked again, within its time
            await line.active(Digest(), time.time())
        await answering(line)  # both ends are there again
        assert (await line.carry_out(orders(block(1)))).notes == ()
    assert REGISTRY.get_sample_value(LOST, {"why": "fault"}) == faults + 1


async def test_a_listing_of_a_firewall_is_asked_of_it(tmp_path: Path) -> None:
    async with mosquitto(tmp_path) as broker, consumers(broker, Filter(time.time)), producer(broker) as (line,):
        await answering(line)
        assert isinstance(line.capabilities.room, int)
        assert await line.active(Digest(1, 1), time.time()) == []
        assert await line.active(Digest(), time.time()) is None
        assert ListOrders().unless is None


def test_blocks_become_rules_in_the_kernel_and_go_again(tmp_path: Path) -> None:
    async def story() -> None:
        async with mosquitto(tmp_path) as broker, kernel_consumer(broker), producer(broker) as (line,):
            await answering(line)
            told = [block(1), block(2, "2001:db8::/32", "range")]
            assert (await line.carry_out(orders(*told))).notes == ()
            wall = Firewall("portcullis_oc2", ("saddr", "daddr"))
            assert len(wall.active(since_boot())) == 2  # the kernel's own word
            assert await line.active(Digest.of(ids(told)), time.time()) is None
            assert set(await line.active(Digest(), time.time()) or ()) == ids(told)
            assert (await line.carry_out(orders(told[0].id, "b-00000000000000ff"))).notes == ()
            assert len(wall.active(since_boot())) == 1
            wall.close()

    in_namespace(story)


def test_the_program_answers_with_net_admin_alone(tmp_path: Path) -> None:
    async def story() -> None:
        enrolment = tmp_path / "fw-0.enrolment"
        enrolment.write_bytes(msgspec.json.encode(enrol(KEY, "fw-0")))
        async with mosquitto(tmp_path) as broker, producer(broker) as (line,):
            module = ("-m", "defense_lines.agent.openc2_consumer", "--enrolment", str(enrolment))
            command = (*module, "--port", str(broker.port))
            child = await asyncio.create_subprocess_exec(sys.executable, *command, stdout=asyncio.subprocess.DEVNULL)
            await answering(line)
            assert capabilities(child.pid) == {"0000000000001000"}
            assert (await line.carry_out(orders(block(1)))).notes == ()
            child.terminate()
            assert await child.wait() == 0

    in_namespace(story)
