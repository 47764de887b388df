"""Messages on their way to the broker, without one."""

from __future__ import annotations

import pytest
from mqtt5 import PublishPacket, read

from defense_lines.agent.openc2_outbox import WAITING, Outbox, Outgoing


def sent(data: bytes) -> list[PublishPacket]:
    packets = []
    while data:
        packet, length = read(memoryview(data))
        assert isinstance(packet, PublishPacket)
        packets.append(packet)
        data = data[length:]
    return packets


def message(number: int) -> Outgoing:
    return Outgoing("oc2/rsp", str(number).encode(), "rsp", expiry=2)


def payloads(data: bytes) -> list[int]:
    return [int(packet.payload) for packet in sent(data)]


def test_no_more_are_under_way_than_the_broker_takes() -> None:
    outbox = Outbox()
    assert outbox.put(message(0)) == b""  # nobody is there yet
    assert payloads(outbox.resume(False, 2)) == [0]
    assert payloads(outbox.put(message(1))) == [1]
    assert [outbox.put(message(number)) for number in (2, 3)] == [b"", b""]
    assert payloads(outbox.acknowledge(1)) == [2]
    assert outbox.acknowledge(77) == b""  # of nothing that was sent
    assert payloads(outbox.acknowledge(3)) == [3]


def test_what_was_not_acknowledged_goes_again_to_a_broker_that_remembers() -> None:
    outbox = Outbox()
    outbox.resume(False, 10)
    first = sent(outbox.put(message(0)) + outbox.put(message(1)))
    outbox.acknowledge(first[0].packet_id or 0)
    outbox.pause()
    assert outbox.put(message(2)) == b""
    again = sent(outbox.resume(True, 10))
    assert [(int(packet.payload), packet.duplicate, packet.packet_id) for packet in again] == [
        (1, True, first[1].packet_id),
        (2, False, 3),
    ]


def test_a_broker_that_forgot_gets_only_what_it_was_never_sent() -> None:
    outbox = Outbox()
    outbox.resume(False, 10)
    outbox.put(message(0))
    outbox.pause()
    outbox.put(message(1))
    assert payloads(outbox.resume(False, 10)) == [1]


def test_numbers_go_round_past_those_that_are_taken() -> None:
    outbox = Outbox()
    outbox.resume(False, 10)
    stays = sent(outbox.put(message(0)))[0].packet_id
    numbers = []
    for number in range(1 << 16):
        (packet,) = sent(outbox.put(message(number)))
        numbers.append(packet.packet_id)
        outbox.acknowledge(packet.packet_id or 0)
    assert stays not in numbers
    assert (min(map(int, filter(None, numbers))), max(map(int, filter(None, numbers)))) == (2, 65_535)


def test_too_many_are_refused_and_not_dropped() -> None:
    outbox = Outbox()
    for number in range(WAITING):
        outbox.put(message(number))
    with pytest.raises(BufferError):
        outbox.put(message(WAITING))
    assert len(sent(outbox.resume(False, 65_535))) == WAITING


def test_a_message_says_what_the_specification_wants() -> None:
    outbox = Outbox()
    outbox.resume(False, 1)
    (packet,) = sent(outbox.put(message(0)))
    assert (packet.content_type, packet.payload_format_indicator, packet.retain, packet.qos) == (
        "application/openc2",
        1,
        False,
        1,
    )
    assert packet.user_properties == [("msgType", "rsp"), ("encoding", "json")]
    assert packet.message_expiry_interval == 2
