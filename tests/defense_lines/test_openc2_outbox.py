"""Messages on their way to the broker, without one."""

from __future__ import annotations

import math

import pytest
from mqtt5 import PublishPacket, read

from defense_lines.agent.openc2_outbox import WAITING, Outbox, Outgoing
from tests.defense_lines.openc2_rig import counted

LATE = "portcullis_defense_lines_openc2_late_total"


def sent(data: bytes) -> list[PublishPacket]:
    packets = []
    while data:
        packet, length = read(memoryview(data))
        assert isinstance(packet, PublishPacket)
        packets.append(packet)
        data = data[length:]
    return packets


def message(number: int, lives: float = math.inf) -> Outgoing:
    return Outgoing("oc2/rsp", str(number).encode(), "rsp", lives)


def payloads(data: bytes) -> list[int]:
    return [int(packet.payload) for packet in sent(data)]


def put(outbox: Outbox, *messages: Outgoing, now: float = 0.0) -> bytes:
    for each in messages:
        outbox.put(each, now)
    return outbox.due(now)


def standing(window: int) -> Outbox:
    outbox = Outbox()
    assert outbox.resume(False, window, 0.0) == b""
    return outbox


def test_no_more_are_under_way_than_the_broker_takes() -> None:
    outbox = Outbox()
    assert put(outbox, message(0)) == b""  # nobody is there yet
    outbox.resume(False, 2, 0.0)
    assert payloads(outbox.due(0.0)) == [0]
    assert payloads(put(outbox, message(1), message(2), message(3))) == [1]
    outbox.acknowledge(1)
    assert payloads(outbox.due(0.0)) == [2]
    outbox.acknowledge(77)  # of nothing that was sent
    assert outbox.due(0.0) == b""
    outbox.acknowledge(3)
    assert payloads(outbox.due(0.0)) == [3]


def test_what_was_not_acknowledged_goes_again_to_a_broker_that_remembers() -> None:
    outbox = standing(10)
    first = sent(put(outbox, message(0), message(1)))
    outbox.acknowledge(first[0].packet_id or 0)
    outbox.put(message(2), 0.0)
    again = sent(outbox.resume(True, 10, 9.0) + outbox.due(9.0))
    assert [(int(packet.payload), packet.duplicate, packet.packet_id) for packet in again] == [
        (1, True, first[1].packet_id),
        (2, False, 3),
    ]


def test_a_broker_that_forgot_gets_only_what_it_was_never_sent() -> None:
    outbox = standing(10)
    put(outbox, message(0))
    outbox.put(message(1), 0.0)
    assert payloads(outbox.resume(False, 10, 0.0) + outbox.due(0.0)) == [1]


def test_what_is_for_now_alone_is_never_sent_later() -> None:
    before = counted(LATE)
    outbox = standing(1)
    (packet,) = sent(put(outbox, message(0, 2.0), message(1, 2.0), message(2, 60.0), message(3)))
    assert packet.message_expiry_interval == 2
    assert outbox.to_be_forgotten
    assert outbox.resume(False, 9, 30.0) == b""  # Clean Start: the broker has forgotten it
    late, never = sent(outbox.due(30.0))
    assert (int(late.payload), late.message_expiry_interval) == (2, 30)  # what is left of its time
    assert (int(never.payload), never.message_expiry_interval) == (3, None)
    assert counted(LATE) == before + 2


def test_a_session_without_such_is_kept() -> None:
    outbox = standing(9)
    first = sent(put(outbox, message(0), message(1, 5.0)))
    assert outbox.to_be_forgotten
    outbox.acknowledge(first[1].packet_id or 0)
    assert not outbox.to_be_forgotten


def test_numbers_go_round_past_those_that_are_taken() -> None:
    outbox = standing(10)
    stays = sent(put(outbox, message(0)))[0].packet_id
    numbers = []
    for number in range(1 << 16):
        (packet,) = sent(put(outbox, message(number)))
        numbers.append(packet.packet_id)
        outbox.acknowledge(packet.packet_id or 0)
    assert stays not in numbers
    assert (min(map(int, filter(None, numbers))), max(map(int, filter(None, numbers)))) == (2, 65_535)


def test_too_many_are_refused_and_not_dropped() -> None:
    outbox = Outbox()
    for number in range(WAITING):
        outbox.put(message(number), 0.0)
    with pytest.raises(BufferError):
        outbox.put(message(WAITING), 0.0)
    outbox.resume(False, 65_535, 0.0)
    assert len(sent(outbox.due(0.0))) == WAITING


def test_a_message_says_what_the_specification_wants() -> None:
    (packet,) = sent(put(standing(1), message(0)))
    assert (packet.content_type, packet.payload_format_indicator, packet.retain, packet.qos) == (
        "application/openc2",
        1,
        False,
        1,
    )
    assert packet.user_properties == [("msgType", "rsp"), ("encoding", "json")]
