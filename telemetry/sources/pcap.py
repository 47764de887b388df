"""Packet captures, pcap and pcapng, read as a stream by scapy: packets become flows, DNS messages become questions.

FLOW  address who sent the first packet, action tcp|udp|icmp, sizes of payload,
      outcome in Zeek's words (S0, S1, SF, REJ, RSTO, RSTR, OTH)
DNS   one event a message: outcome "query", or the answer's code
"""

from __future__ import annotations

import gzip
import logging
import warnings
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, BinaryIO

from telemetry.event import Event, Kind
from telemetry.malformed import Malformed, clip

_MAX_FLOWS = 65_536  # held at once; then the one begun first is told as it stands
_IDLE = 300.0  # seconds of silence that end a flow
_MAX_READ = 1024 * 1024  # bytes scapy may ask for at once: lengths in a capture are the sender's claim
_FIN, _SYN, _RST, _ACK = 0x01, 0x02, 0x04, 0x10
_RCODES = {0: "NOERROR", 1: "FORMERR", 2: "SERVFAIL", 3: "NXDOMAIN", 4: "NOTIMP", 5: "REFUSED"}
_QTYPES = {1: "A", 2: "NS", 5: "CNAME", 6: "SOA", 12: "PTR", 15: "MX", 16: "TXT", 28: "AAAA", 33: "SRV", 65: "HTTPS"}

_Key = tuple[str, str, int, str, int]  # protocol, sender and its port, receiver and its port


def read_pcap(stream: BinaryIO, source: str) -> Iterator[Event | Malformed]:
    """Events of a capture: DNS messages as they come, flows as they end. What cannot be read ends it with Malformed."""
    scapy = _scapy()
    flows: dict[_Key, _Flow] = {}
    for packet in _packets(scapy, stream):
        if isinstance(packet, Malformed):
            yield packet
            break
        try:
            yield from _events(scapy, packet, flows, source)
        except Exception as error:  # scapy raises whatever the sender's bytes lead it to
            yield Malformed("bad_packet", repr(error))
    for flow in flows.values():
        yield flow.event(source)


def _scapy() -> SimpleNamespace:
    """The parts used. Imported late: it takes a second, and warns about what we do not use."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.getLogger("scapy").setLevel(logging.CRITICAL)
        from scapy.layers import dns, inet, inet6, l2  # noqa: F401  l2 registers Ethernet
        from scapy.utils import PcapReader
    return SimpleNamespace(PcapReader=PcapReader, IP=inet.IP, IPv6=inet6.IPv6, TCP=inet.TCP, UDP=inet.UDP, DNS=dns.DNS)


class _CutOff(Exception):
    """A compressed capture ends too early; not one of the errors that scapy takes for the end."""


class _Bounded:
    """A stream that refuses to read absurd lengths at once."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.name = "capture"

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= _MAX_READ:
            raise ValueError(f"a packet of {size} bytes")
        try:
            return self._stream.read(size)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise _CutOff(str(error)) from error

    def close(self) -> None:
        """The stream is its opener's to close."""


def _packets(scapy: SimpleNamespace, stream: BinaryIO) -> Iterator[Any]:
    try:
        reader = scapy.PcapReader(_Bounded(stream))
        while True:
            yield reader.read_packet()
    except EOFError:
        return
    except _CutOff as error:
        yield Malformed("cut_off", str(error))
    except Exception as error:  # as above
        yield Malformed("bad_packet", repr(error))


@dataclass(slots=True)
class _Flow:
    key: _Key
    first: float
    last: float
    sent: int = 0
    received: int = 0
    flags: int = 0  # TCP flags of the sender's packets
    answer_flags: int = 0  # and of the receiver's
    answered: bool = False

    def add(self, time: float, forward: bool, size: int, flags: int) -> None:
        self.last = max(self.last, time)
        if forward:
            self.sent += size
            self.flags |= flags
        else:
            self.received += size
            self.answer_flags |= flags
            self.answered = True

    def event(self, source: str) -> Event:
        protocol, sender, _, receiver, port = self.key
        return Event(
            time=self.first,
            kind=Kind.FLOW,
            source=source,
            address=sender,
            peer=receiver,
            port=port,
            action=protocol,
            outcome=self._state() if protocol == "tcp" else ("SF" if self.answered else "S0"),
            bytes_in=self.sent,
            bytes_out=self.received,
            duration=self.last - self.first,
        )

    def _state(self) -> str:
        if not self.flags & _SYN:
            return "OTH"
        if self.answer_flags & _RST:
            return "RSTR" if self.answer_flags & _SYN else "REJ"
        if self.flags & _RST:
            return "RSTO"
        if not self.answer_flags & _SYN:
            return "S0"
        return "SF" if self.flags & self.answer_flags & _FIN else "S1"


def _events(scapy: SimpleNamespace, packet: Any, flows: dict[_Key, _Flow], source: str) -> Iterator[Event]:
    network = packet.getlayer(scapy.IP) or packet.getlayer(scapy.IPv6)
    if network is None or network.version not in (4, 6):
        return
    time = float(packet.time)
    protocol, sport, dport, size, flags = _transport(scapy, network)
    key = (protocol, network.src, sport, network.dst, dport)
    yield from _add(flows, key, time, size, flags, source)
    if dns := packet.getlayer(scapy.DNS):
        yield from _question(dns, key, time, source)


def _transport(scapy: SimpleNamespace, network: Any) -> tuple[str, int, int, int, int]:
    """Protocol, source port, destination port, payload bytes and TCP flags."""
    body = network.len - network.ihl * 4 if network.name == "IP" else network.plen
    if tcp := network.getlayer(scapy.TCP):
        return "tcp", tcp.sport, tcp.dport, max(body - tcp.dataofs * 4, 0), int(tcp.flags)
    if udp := network.getlayer(scapy.UDP):
        return "udp", udp.sport, udp.dport, max(body - 8, 0), 0
    number = network.proto if network.name == "IP" else network.nh
    return "icmp" if number in (1, 58) else f"ip-{number}", 0, 0, max(body, 0), 0


def _add(flows: dict[_Key, _Flow], key: _Key, time: float, size: int, flags: int, source: str) -> Iterator[Event]:
    protocol, sender, sport, receiver, dport = key
    back = (protocol, receiver, dport, sender, sport)
    forward = key in flows or back not in flows
    if not forward:
        key = back
    flow = flows.get(key)
    if flow is not None and time - flow.last > _IDLE:
        yield flows.pop(key).event(source)
        flow = None
    if flow is None:
        if len(flows) >= _MAX_FLOWS:
            yield flows.pop(next(iter(flows))).event(source)
        flow = flows[key] = _Flow(key, time, time)
    flow.add(time, forward, size, flags)


def _question(dns: Any, key: _Key, time: float, source: str) -> Iterator[Event]:
    if not dns.qd:
        return
    asked = dns.qd[0]
    _, sender, sport, receiver, dport = key
    if dns.qr:
        sender, receiver, dport = receiver, sender, sport
    yield Event(
        time=time,
        kind=Kind.DNS,
        source=source,
        address=sender,
        peer=receiver,
        port=dport,
        service="dns",
        resource=clip(asked.qname.decode(errors="backslashreplace").rstrip(".")),
        action=_QTYPES.get(asked.qtype, str(asked.qtype)),
        outcome=_RCODES.get(dns.rcode, str(dns.rcode)) if dns.qr else "query",
    )
