import io
import struct

from hypothesis import given, settings
from hypothesis import strategies as st

from telemetry import Event, EventBatch, Malformed, read_pcap

LINKS = (1, 101, 113, 228, 276, 0, 9999)  # Ethernet, raw IP, Linux cooked, IPv4, cooked v2, null, unknown
MAGIC = (b"\xd4\xc3\xb2\xa1", b"\xa1\xb2\xc3\xd4", b"\x4d\x3c\xb2\xa1", b"\x0a\x0d\x0d\x0a")
IPV4 = struct.pack(">BBHHHBBH8s", 0x45, 0, 40, 0, 0, 64, 17, 0, b"\x0a\0\0\1\x0a\0\0\2")
DNS = struct.pack(">HHHHHHHHHH", 5353, 53, 40, 0, 7, 0x0100, 1, 0, 0, 0)
ETHERNET = b"\0" * 12 + b"\x08\x00"


def check(data: bytes) -> None:
    found = list(read_pcap(io.BytesIO(data), "pcap"))
    assert all(isinstance(one, (Event, Malformed)) for one in found)
    events = [one for one in found if isinstance(one, Event)]
    assert len(EventBatch.from_bytes(EventBatch.of(events).to_bytes())) == len(events)


@settings(max_examples=50)
@given(st.sampled_from(MAGIC), st.binary(max_size=200))
def test_any_bytes(magic: bytes, data: bytes) -> None:
    """Any bytes are events that fit a batch and Malformed: never an exception, never endless."""
    check(magic + data)
    check(data)


packets = st.tuples(st.sampled_from([b"", ETHERNET, IPV4, IPV4 + DNS, ETHERNET + IPV4 + DNS]), st.binary(max_size=60))


@settings(max_examples=50)
@given(st.sampled_from(LINKS), st.lists(packets, max_size=4), st.integers(0, 2**32 - 1))
def test_any_packets(link: int, bodies: list[tuple[bytes, bytes]], seconds: int) -> None:
    """The same for a good file of packets that begin well and go on anyhow."""
    head = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, link)
    records = [(struct.pack("<IIII", seconds, 2**32 - 1, len(a + b), len(a + b)), a + b) for a, b in bodies]
    check(head + b"".join(record + body for record, body in records))
