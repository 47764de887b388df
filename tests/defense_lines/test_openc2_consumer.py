"""The consumer's answers, command by command, over a firewall in memory."""

from __future__ import annotations

import copy
import tracemalloc
from typing import Any

import msgspec
import pytest

from defense_lines.agent import Order
from defense_lines.agent.libnftables import NftError
from defense_lines.agent.openc2_command import read_command
from defense_lines.agent.openc2_message import delete, deny, list_orders, read_response, request, update
from defense_lines.agent.openc2_profile import Consumer
from defense_lines.line import Digest, Note
from defense_lines.lines.openc2_plan import _REFUSED as REFUSED
from tests.defense_lines.openc2_rig import NOW, Filter

BLOCK = "b-00000000000000aa"


async def ask(consumer: Consumer, command: dict[str, Any], request_id: str = "r-1") -> dict[str, Any]:
    reply = await consumer.answer(read_command(request(request_id, "soc", NOW, command)))
    assert reply is not None
    assert reply.topic == "oc2/rsp/soc"
    message = msgspec.json.decode(reply.payload)
    assert message["headers"]["request_id"] == request_id
    assert message["headers"]["from"] == "fw-1"
    answer: dict[str, Any] = message["body"]["openc2"]["response"]
    return answer


def changed(path: str, value: Any) -> dict[str, Any]:
    """A good deny with one thing changed, or left out (None)."""
    command = copy.deepcopy(deny("198.51.100.7/32", 60, BLOCK))
    *parents, last = path.split("/")
    place = command
    for parent in parents:
        place = place[parent]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return command


async def test_deny_list_delete() -> None:
    wall = Filter()
    consumer = Consumer("fw-1", wall)
    await consumer.start()
    made = await ask(consumer, deny("198.51.100.7", 60, BLOCK))
    rule = made["results"]["slpf"]["rule_number"]
    assert made["status"] == 200
    assert [str(order.network) for order in wall.standing.values()] == ["198.51.100.7/32"]
    assert next(iter(wall.standing.values())).expires == NOW + 60
    listed = await ask(consumer, list_orders(), "r-2")
    assert listed["results"] == {"x-portcullis": {"orders": [{"rule_number": rule, "command_id": BLOCK}]}}
    assert await ask(consumer, delete(rule, BLOCK), "r-3") == {"status": 200}
    assert wall.standing == {}
    assert (await ask(consumer, delete(rule, BLOCK), "r-4"))["status"] == 404


async def test_the_same_command_in_another_request_is_the_same_rule() -> None:
    wall = Filter()
    consumer = Consumer("fw-1", wall)
    first = await ask(consumer, deny("198.51.100.7", 60, BLOCK))
    assert await ask(consumer, deny("198.51.100.7", 60, BLOCK), "r-2") == first
    assert len(wall.standing) == 1
    assert (await ask(consumer, deny("198.51.100.8", 60, BLOCK), "r-3"))["status"] == 400


async def test_a_new_process_knows_its_rules_and_gives_no_number_twice() -> None:
    wall = Filter()
    before = Consumer("fw-1", wall)
    await before.start()
    rule = (await ask(before, deny("198.51.100.7", 60, BLOCK)))["results"]["slpf"]["rule_number"]
    wall.now += 10
    after = Consumer("fw-1", wall)
    await after.start()
    assert (await ask(after, deny("198.51.100.7", 60, BLOCK)))["results"]["slpf"]["rule_number"] == rule
    other = (await ask(after, deny("198.51.100.8", 60, "b-00000000000000bb"), "r-2"))["results"]["slpf"]["rule_number"]
    assert other > rule
    assert (await ask(after, delete(rule, BLOCK), "r-3"))["status"] == 200


async def test_what_the_kernel_refused_is_never_200() -> None:
    wall = Filter()
    wall.broken = "Operation not permitted"
    answer = await ask(Consumer("fw-1", wall), deny("198.51.100.7", 60, BLOCK))
    assert (answer["status"], answer["status_text"]) == (500, "Operation not permitted")
    assert "results" not in answer


@pytest.mark.parametrize(
    ("path", "value", "status"),
    [
        ("args/slpf/persistent", None, 501),  # SLPF's default is true
        ("args/slpf/persistent", True, 501),
        ("args/slpf/persistent", 0, 501),
        ("args/slpf/direction", None, 501),
        ("args/slpf/direction", "egress", 501),
        ("args/slpf/drop_process", "reject", 501),
        ("args/slpf/insert_rule", 1, 501),
        ("args/start_time", 1, 501),
        ("args/stop_time", 1, 501),
        ("args/duration", None, 501),
        ("args/duration", 0, 400),
        ("args/duration", -1, 400),
        ("args/duration", True, 400),
        ("args/duration", "1h", 400),
        ("args/duration", 10**18, 400),
        ("args/response_requested", "maybe", 400),
        ("args/slpf", "x", 400),
        ("args", [], 400),
        ("action", "allow", 501),
        ("action", "scan", 501),
        ("action", 5, 400),
        ("target", {"ipv4_connection": {}}, 501),
        ("target", {"ipv4_net": "198.51.100.7/24"}, 400),
        ("target", {"ipv4_net": "2001:db8::/32"}, 400),
        ("target", {"ipv6_net": "198.51.100.7"}, 400),
        ("target", {"ipv4_net": 3325256711}, 400),
        ("target", {"ipv6_net": "fe80::1%}; flush ruleset; #"}, 400),
        ("target", {"ipv4_net": "198.51.100.7", "ipv6_net": "::1"}, 400),
        ("target", {}, 400),
        ("surprise", 1, 400),
        ("command_id", "a/b", 400),
        ("actuator", [], 400),
    ],
)
async def test_what_is_not_supported_is_said_and_not_done(path: str, value: Any, status: int) -> None:
    wall = Filter()
    answer = await ask(Consumer("fw-1", wall), changed(path, value))
    assert (answer["status"], wall.standing) == (status, {})
    assert answer["status_text"]


@pytest.mark.parametrize(
    ("actuator", "answered"),
    [({}, True), ({"slpf": {"asset_id": "fw-1"}}, True), ({"slpf": {"asset_id": "fw-2"}}, False), ({"er": {}}, False)],
)
async def test_commands_for_others_are_left_to_them(actuator: dict[str, Any], answered: bool) -> None:
    wall = Filter()
    reply = await Consumer("fw-1", wall).answer(read_command(request("r-1", "soc", NOW, changed("actuator", actuator))))
    assert (reply is not None, len(wall.standing) == 1) == (answered, answered)


@pytest.mark.parametrize(("requested", "status"), [("none", None), ("ack", 102), ("status", 200), ("complete", 200)])
async def test_the_answer_is_the_one_that_was_asked_for(requested: str, status: int | None) -> None:
    wall = Filter()
    command = changed("args/response_requested", requested)
    reply = await Consumer("fw-1", wall).answer(read_command(request("r-1", "soc", NOW, command)))
    answer = read_response(reply.payload) if reply else None
    assert (answer and answer.status) == status
    assert (answer.rule is not None if answer else False) == (requested == "complete")
    assert len(wall.standing) == 1


async def test_features_say_what_is_there() -> None:
    command = {"action": "query", "target": {"features": ["versions", "profiles", "pairs"]}}
    answer = await ask(Consumer("fw-1", Filter()), command)
    assert answer["results"]["profiles"] == ["slpf"]
    assert "ipv4_net" in answer["results"]["pairs"]["deny"]
    odd = {"action": "query", "target": {"features": ["colour"]}}
    assert (await ask(Consumer("fw-1", Filter()), odd))["status"] == 400


async def test_rules_end_and_their_number_with_them() -> None:
    wall = Filter()
    consumer = Consumer("fw-1", wall)
    rule = (await ask(consumer, deny("198.51.100.7", 60, BLOCK)))["results"]["slpf"]["rule_number"]
    wall.now += 61
    assert (await ask(consumer, delete(rule, BLOCK), "r-2"))["status"] == 404


OTHER = "b-00000000000000bb"


async def answered(consumer: Consumer, command: dict[str, Any], request_id: str, age: float = 0.0) -> list[Note] | None:
    reply = await consumer.answer(read_command(request(request_id, "soc", NOW, command)), age)
    answer = read_response(reply.payload) if reply else None
    return answer.notes if answer and answer.status == 200 else None


async def test_an_update_puts_and_ends_many() -> None:
    wall = Filter()
    consumer = Consumer("fw-1", wall)
    denials = [(BLOCK, "198.51.100.7/32", 60.0), (OTHER, "2001:db8::/32", 90.0)]
    assert await answered(consumer, update(denials, []), "r-1") == []
    assert sorted((str(order.network), order.expires - NOW) for order in wall.standing.values()) == [
        ("198.51.100.7/32", 60),
        ("2001:db8::/32", 90),
    ]
    assert await answered(consumer, update([], [BLOCK, "b-00000000000000cc"]), "r-2") == []  # an unknown one is lifted
    assert [str(order.network) for order in wall.standing.values()] == ["2001:db8::/32"]


async def test_one_bad_order_of_an_update_leaves_the_others_alone() -> None:
    wall = Filter()
    consumer = Consumer("fw-1", wall)
    await answered(consumer, update([(OTHER, "198.51.100.8/32", 60)], []), "r-1")
    rows = [(BLOCK, "198.51.100.7/32", 60), ("b-1", "fe80::1%; flush ruleset", 60), (OTHER, "198.51.100.9/32", 60)]
    notes = await answered(consumer, update(rows, []), "r-2")
    assert notes is not None
    assert [(note.block, note.outcome) for note in notes] == [("b-1", "refused"), (OTHER, "refused")]
    assert len(wall.standing) == 2


async def test_an_update_that_the_kernel_refused_is_not_done() -> None:
    wall = Filter()
    wall.broken = "Operation not permitted"
    notes = await answered(Consumer("fw-1", wall), update([(BLOCK, "198.51.100.7/32", 60)], []), "r-1")
    assert notes == [Note(BLOCK, "failed", "Operation not permitted")]


@pytest.mark.parametrize(
    "value", [[], {"deny": [["b-1", "::1"]]}, {"delete": ["a/b"]}, {"delete": ["a", "a"]}, {"x": 1}]
)
async def test_an_update_of_another_shape_is_not_begun(value: Any) -> None:
    wall = Filter()
    command = {"action": "update", "target": {"x-portcullis:orders": value}}
    assert (await ask(Consumer("fw-1", wall), command))["status"] == 400
    assert wall.standing == {}


async def test_what_was_long_on_its_way_ends_when_it_should() -> None:
    wall = Filter()
    consumer = Consumer("fw-1", wall)
    rows = [(BLOCK, "198.51.100.7/32", 60), (OTHER, "198.51.100.8/32", 2.0)]
    assert await answered(consumer, update(rows, []), "r-1", age=3.0) == [Note(OTHER, "expired", "ended on its way")]
    await answered(consumer, deny("198.51.100.9/32", 60, "b-00000000000000cc"), "r-2", age=3.0)
    assert [order.expires for order in wall.standing.values()] == [NOW + 57, NOW + 57]


async def test_a_list_is_spared_where_the_digest_agrees() -> None:
    wall = Filter()
    consumer = Consumer("fw-1", wall)
    await answered(consumer, update([(BLOCK, "198.51.100.7/32", 60), (OTHER, "198.51.100.8/32", 5)], []), "r-1")

    async def in_step(blocks: list[str], beyond: float, request_id: str) -> bool:
        asked = request(request_id, "soc", NOW, list_orders(Digest.of(blocks), beyond))
        reply = await consumer.answer(read_command(asked))
        answer = read_response(reply.payload) if reply else None
        assert answer is not None
        assert answer.in_step == (answer.orders is None)
        return answer.in_step

    assert await in_step([BLOCK, OTHER], 0, "r-2")
    assert await in_step([BLOCK], 10, "r-3")
    assert not await in_step([BLOCK], 0, "r-4")
    assert not await in_step([OTHER], 10, "r-5")


async def test_beyond_its_room_it_fails_and_what_stands_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("defense_lines.agent.openc2_profile.MAX_RULES", 1)
    wall = Filter()
    consumer = Consumer("fw-1", wall)
    rows = [(BLOCK, "198.51.100.7/32", 60), (OTHER, "198.51.100.8/32", 60)]
    assert await answered(consumer, update(rows, []), "r-1") == [Note(OTHER, "failed", "1 rules stand")]
    assert (await ask(consumer, deny("198.51.100.8/32", 60, OTHER), "r-2"))["status"] not in (200, *REFUSED)
    assert (await ask(consumer, deny("198.51.100.7/32", 90, BLOCK), "r-3"))["status"] == 200  # put again
    assert [order.expires for order in wall.standing.values()] == [NOW + 90]


async def test_rules_that_are_put_again_take_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("defense_lines.agent.openc2_profile.MAX_RULES", 3)
    consumer = Consumer("fw-1", Filter())
    rows = [(f"b-{number:016x}", f"198.51.100.{number}/32", 60.0) for number in range(5)]
    assert await answered(consumer, update(rows[:2], []), "r-1") == []
    found = await answered(consumer, update(rows, []), "r-2") or []
    assert [note.block for note in found] == [name for name, *_ in rows[3:]]


class Reread(Filter):
    """A firewall with a great many rules: to read them back takes two seconds."""

    times, asleep = 0, 0.0

    def awake(self) -> float:
        return self.now - self.asleep

    def sleep(self, seconds: float) -> None:
        self.now, self.asleep = self.now + seconds, self.asleep + seconds

    async def read(self) -> list[Order]:
        self.times += 1
        self.now += 2.0
        if self.broken:
            raise NftError(self.broken)
        return await super().read()


async def test_an_unknown_id_has_the_book_read_back_once_and_only_if_the_host_slept() -> None:
    wall = Reread()
    consumer = Consumer("fw-1", wall, awake=wall.awake)
    await consumer.start()
    assert await answered(consumer, update([], [OTHER]), "r-1") == []
    assert wall.times == 1
    wall.sleep(3600)
    wall.broken = "Operation not permitted"
    found = await answered(consumer, update([], [OTHER]), "r-2")
    assert (wall.times, found) == (2, [Note(OTHER, "failed", "Operation not permitted")])
    wall.broken = ""
    for number in range(3, 6):
        assert await answered(consumer, update([], [OTHER]), f"r-{number}") == []
    assert wall.times == 3


async def test_what_is_done_first_takes_nothing_of_a_blocks_time_off() -> None:
    wall = Reread()
    consumer = Consumer("fw-1", wall, awake=wall.awake)
    await consumer.start()
    wall.sleep(3600)
    began = wall.now
    await answered(consumer, update([(BLOCK, "198.51.100.7/32", 10.0)], [OTHER]), "r-1")
    assert wall.now == began + 2
    assert [order.expires for order in wall.standing.values()] == [began + 10]


async def test_answers_are_not_kept() -> None:
    consumer = Consumer("fw-1", Filter())
    rows = [(f"b-{number:016x}", f"10.0.{number >> 8}.{number & 255}/32", 60.0) for number in range(500)]
    await answered(consumer, update(rows, []), "r-0")
    tracemalloc.start()
    for number in range(20):
        refused = [(name, "192.0.2.1/32", left) for name, _, left in rows]  # each of them stands for another network
        assert len(await answered(consumer, update(refused, []), f"r-{number}") or []) == 500
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 200_000  # bytes; an answer is 40,000
