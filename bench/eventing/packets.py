"""Packets of a capture as numbers and texts, read once: our side and Kitsune's are given the same."""

from __future__ import annotations

from typing import Any, NamedTuple

from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.utils import PcapReader

from bench.eventing.peers import PACKETS


class Packet(NamedTuple):
    """What both extractors are given."""

    version: int  # 0 IPv4, 1 IPv6
    sender_mac: str
    receiver_mac: str
    sender: str
    sender_port: str
    receiver: str
    receiver_port: str
    size: int
    time: float


def packets() -> list[Packet]:
    """Those of the capture that have an IP layer, in order."""
    with PcapReader(str(PACKETS)) as reader:
        return [packet for one in reader if (packet := _packet(one)) is not None]


def _packet(one: Any) -> Packet | None:
    network = one.getlayer(IP) or one.getlayer(IPv6)
    if network is None:
        return None
    transport = one.getlayer(TCP) or one.getlayer(UDP)
    ports = (str(transport.sport), str(transport.dport)) if transport else ("icmp", "icmp")
    version = 0 if network.name == "IP" else 1
    macs = (getattr(one, "src", ""), getattr(one, "dst", ""))
    return Packet(version, *macs, network.src, ports[0], network.dst, ports[1], len(one), float(one.time))
