"""The layout of a site: which lines there are, on which wires, with which proofs."""

from __future__ import annotations

import ipaddress
from pathlib import Path

import msgspec
from cryptography import x509

from defense_lines.agent.openc2_seal import enrol
from defense_lines.lines.openc2_enrolment import signing_key
from gateway.config import Agents, Config, Guard, Lines, MutualTls, OpenC2Lines, Route, Service
from gateway.config.detection import Broker
from tests.authority import Authority
from tests.chaos.parts import Consumer, Line
from tests.chaos.wire import Link
from tests.defense_lines.nftables_rig import Namespace

PORT, BROKER = 8285, 1883
NEVER = ("10.77.0.0/16", "192.0.2.0/24", "2001:db8:feed::/48")  # what the guard is told: the wires, and more
KERNELS = ("kernel-1", "kernel-2")  # agents with a kernel's firewall
SHELVES = {"shelf-1": 0.0, "shelf-2": -3600.0, "shelf-3": 3600.0}  # without; by how many seconds their clocks are wrong
CONSUMERS = ("openc2-1", "openc2-2")  # behind the broker, with a kernel's firewall
TABLE = "portcullis"


def links(rooms: dict[str, Namespace]) -> dict[str, Link]:
    """A wire for each line, and the gateway's to the broker, by who is at the far end."""
    near = dict.fromkeys((*KERNELS, *SHELVES, "broker"), "gateway") | dict.fromkeys(CONSUMERS, "broker")
    return {
        far: Link(
            f"wire{number}",
            (str(rooms[end].path), str(rooms[far].path)),
            (f"10.77.{number}.1", f"10.77.{number}.2"),
        )
        for number, (far, end) in enumerate(near.items(), 1)
    }


def configuration(folder: Path, broker: str) -> Config:
    """The gateway's."""
    state = folder / "state"
    (state / "run").mkdir(parents=True, mode=0o700)
    tls = MutualTls(
        certificate=folder / "gateway.pem",
        key=folder / "gateway.key",
        client_ca=folder / "authority.pem",
        clients=(*KERNELS, *SHELVES),
    )
    openc2 = OpenC2Lines(
        broker=Broker(host=broker, port=BROKER), consumers=CONSUMERS, signing_key=folder / "openc2.key"
    )
    return Config(
        state=state,
        services={"bank": Service(address="127.0.0.1", port=9)},
        routes=(Route(prefix="/", service="bank"),),
        guard=Guard(never_block_addresses=NEVER, blocks_per_minute=1_000_000),
        lines=Lines(agents=Agents(address="0.0.0.0", port=PORT, tls=tls), openc2=openc2),
    )


def agents(folder: Path, wires: dict[str, Link]) -> list[Line]:
    """The agents, with certificates of one authority."""
    authority = Authority(folder, "authority")
    names = (*KERNELS, *SHELVES)
    authority.issue("gateway", *(x509.IPAddress(ipaddress.ip_address(wires[name].addresses[0])) for name in names))
    return [_agent(folder, authority, name, wires[name]) for name in names]


def consumers(folder: Path, wires: dict[str, Link]) -> list[Consumer]:
    """The OpenC2 consumers, enrolled."""
    return [_consumer(folder, name, wires[name]) for name in CONSUMERS]


def _agent(folder: Path, authority: Authority, name: str, link: Link) -> Line:
    (folder / name).mkdir(mode=0o700)
    proof = (*authority.issue(name, x509.DNSName(name)), authority.certificate)
    gateway = f"wss://{link.addresses[0]}:{PORT}"
    table = TABLE if name in KERNELS else ""
    return Line(name, link.ends[1], gateway, proof, folder / name, table, SHELVES.get(name, 0.0))


def _consumer(folder: Path, name: str, link: Link) -> Consumer:
    enrolment = folder / f"{name}.json"
    enrolment.write_bytes(msgspec.json.encode(enrol(signing_key(folder / "openc2.key"), name)))
    return Consumer(name, link.ends[1], link.addresses[0], BROKER, enrolment, TABLE)
