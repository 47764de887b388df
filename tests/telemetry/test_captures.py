import io
import struct
import zipfile
from collections import Counter
from collections.abc import Iterable
from ipaddress import ip_address
from pathlib import Path

import pytest

from telemetry import Event, Kind, Malformed, read_pcap

A, B = "10.0.0.1", "10.0.0.2"
SYN, ACK, FIN, RST = 2, 16, 1, 4


def capture(*packets: tuple[float, bytes]) -> io.BytesIO:
    """A pcap file of bare IP packets (link type 101)."""
    head = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 101)
    body = [struct.pack("<IIII", int(at), round(at % 1 * 1e6), len(data), len(data)) + data for at, data in packets]
    return io.BytesIO(head + b"".join(body))


def ip(src: str, dst: str, protocol: int, body: bytes) -> bytes:
    addresses = ip_address(src).packed + ip_address(dst).packed
    return struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(body), 0, 0, 64, protocol, 0) + addresses + body


def tcp(src: str, dst: str, sport: int, dport: int, flags: int, data: bytes = b"") -> bytes:
    return ip(src, dst, 6, struct.pack(">HHIIBBHHH", sport, dport, 0, 0, 5 << 4, flags, 0, 0, 0) + data)


def udp(src: str, dst: str, sport: int, dport: int, data: bytes) -> bytes:
    return ip(src, dst, 17, struct.pack(">HHHH", sport, dport, 8 + len(data), 0) + data)


def dns(name: str, answer: bool = False, rcode: int = 0) -> bytes:
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"
    return struct.pack(">HHHHHH", 7, (0x8180 | rcode) if answer else 0x0100, 1, 0, 0, 0) + labels + b"\0\1\0\1"


def events(*packets: tuple[float, bytes]) -> list[Event | Malformed]:
    return list(read_pcap(capture(*packets), "pcap"))


def conversation(*steps: tuple[str, int, bytes]) -> Iterable[tuple[float, bytes]]:
    """TCP packets between A:5000 (">") and B:80 ("<"), a second apart."""
    for at, (way, flags, data) in enumerate(steps):
        yield at + 1.0, tcp(A, B, 5000, 80, flags, data) if way == ">" else tcp(B, A, 80, 5000, flags, data)


def test_packets_of_a_conversation_become_one_flow() -> None:
    steps = [
        (">", SYN, b""),
        ("<", SYN | ACK, b""),
        (">", ACK, b"12345"),
        ("<", ACK, b"123"),
        (">", FIN, b""),
        ("<", FIN, b""),
    ]
    assert events(*conversation(*steps)) == [
        Event(
            time=1.0,
            kind=Kind.FLOW,
            source="pcap",
            address=A,
            peer=B,
            port=80,
            action="tcp",
            outcome="SF",
            bytes_in=5,
            bytes_out=3,
            duration=5.0,
        )
    ]


@pytest.mark.parametrize(
    ("steps", "outcome"),
    [
        ([(">", SYN)], "S0"),
        ([(">", SYN), ("<", RST | ACK)], "REJ"),
        ([(">", SYN), ("<", SYN | ACK)], "S1"),
        ([(">", SYN), ("<", SYN | ACK), (">", RST)], "RSTO"),
        ([(">", SYN), ("<", SYN | ACK), ("<", RST)], "RSTR"),
        ([(">", ACK)], "OTH"),
    ],
)
def test_how_a_connection_ended_in_zeeks_words(steps: list[tuple[str, int]], outcome: str) -> None:
    (flow,) = events(*conversation(*[(way, flags, b"") for way, flags in steps]))
    assert isinstance(flow, Event)
    assert flow.outcome == outcome


def test_silence_ends_a_flow() -> None:
    found = events((1.0, udp(A, B, 1, 2, b"x")), (2.0, udp(B, A, 2, 1, b"x")), (400.0, udp(A, B, 1, 2, b"x")))
    assert [(one.time, one.outcome) for one in found if isinstance(one, Event)] == [(1.0, "SF"), (400.0, "S0")]


def test_dns_messages_are_told_apart_from_the_side_of_who_asks() -> None:
    found = events(
        (1.0, udp(A, B, 5353, 53, dns("a.example"))), (2.0, udp(B, A, 53, 5353, dns("a.example", True, rcode=3)))
    )
    asked = [one for one in found if isinstance(one, Event) and one.kind == Kind.DNS]
    assert [(one.outcome, one.resource, one.action) for one in asked] == [
        ("query", "a.example", "A"),
        ("NXDOMAIN", "a.example", "A"),
    ]
    assert {(one.address, one.peer, one.port) for one in asked} == {(A, B, 53)}


def test_what_is_no_capture_is_malformed() -> None:
    (malformed,) = read_pcap(io.BytesIO(b"no capture"), "pcap")
    assert isinstance(malformed, Malformed)


def test_an_absurd_length_ends_the_capture_but_not_what_came_before() -> None:
    whole = capture((1.0, udp(A, B, 1, 2, b"x"))).getvalue()
    found = list(read_pcap(io.BytesIO(whole + struct.pack("<IIII", 2, 0, 2**32 - 1, 2**32 - 1)), "pcap"))
    assert [type(one) for one in found] == [Malformed, Event]


def test_a_capture_cut_off_gives_what_it_has() -> None:
    whole = capture((1.0, udp(A, B, 1, 2, b"x")), (2.0, udp(A, B, 3, 4, b"x"))).getvalue()
    assert len(list(read_pcap(io.BytesIO(whole[:-5]), "pcap"))) >= 1


def test_frames_that_are_not_ip_are_passed_over() -> None:
    assert not [one for one in events((1.0, b""), (2.0, b"\xff" * 30)) if isinstance(one, Event)]


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("ssh-bruteforce.pcap", {Kind.FLOW: 67}),
        ("malicious-mixed.pcap", {Kind.FLOW: 321, Kind.DNS: 127}),
    ],
)
def test_real_captures(data: Path, file: str, expected: dict[Kind, int]) -> None:
    with (data / "pcap" / file).open("rb") as stream:
        found = list(read_pcap(stream, "pcap"))
    assert not [one for one in found if isinstance(one, Malformed)]
    assert Counter(one.kind for one in found if isinstance(one, Event)) == expected


def test_a_real_pcapng(data: Path) -> None:
    with zipfile.ZipFile(data / "pcap/log4shell.zip") as archive:
        found = list(read_pcap(io.BytesIO(archive.read(archive.namelist()[0])), "pcap"))
    assert not [one for one in found if isinstance(one, Malformed)]
    assert {one.kind for one in found if isinstance(one, Event)} >= {Kind.FLOW}
