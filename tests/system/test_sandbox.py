"""In the sandbox each host has its own address, and packets that nftables drops do not arrive."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from typing import Any

import pytest

from deploy.demo.cast import ROOT
from deploy.demo.sandbox import Host

INSIDE = """
import asyncio, json, subprocess, sys
from deploy.demo import sandbox
try:
    sandbox.enter()
except sandbox.NoSandbox as error:
    print(json.dumps({"missing": str(error)})); sys.exit()
from deploy.demo.caller import reaches
network = sandbox.Network(("attacker", "guest"), isolated=True)
async def main():
    seen = []
    async def arrived(reader, writer):
        seen.append(writer.get_extra_info("peername")[0]); writer.close()
    server = await asyncio.start_server(arrived, network.edge_address, 8443)
    attacker, guest = network.hosts["attacker"], network.hosts["guest"]
    attacker.add_address("10.77.1.99")
    edge = (network.edge_address, 8443)
    told = {"before": [await reaches(attacker, *edge, source=source) for source in ("", "10.77.1.99")]}
    told["guest"] = await reaches(guest, network.edge_address, 8443)
    await asyncio.sleep(0)
    rules = "add table inet t; add chain inet t c { type filter hook prerouting priority -310; }; "
    rules += f"add rule inet t c ip saddr {attacker.address} drop"
    dropped = subprocess.run(["nft", rules], capture_output=True)
    told["nft"] = dropped.returncode == 0
    told["after"] = await reaches(attacker, network.edge_address, 8443, 0.3)
    told["guest_after"] = await reaches(guest, network.edge_address, 8443)
    told["seen"] = sorted(set(seen))
    server.close()
    print(json.dumps(told))
asyncio.run(main())
network.close()
"""


@pytest.fixture(scope="module")
def inside() -> dict[str, Any]:
    done = subprocess.run([sys.executable, "-c", INSIDE], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    if "missing" in told:
        pytest.skip("needs network namespaces")
    return told


def test_each_host_calls_from_its_own_addresses(inside: dict[str, Any]) -> None:
    assert inside["before"] == [True, True]
    assert inside["guest"]
    assert inside["seen"] == ["10.77.1.2", "10.77.1.99", "10.77.2.2"]


def test_dropped_packets_do_not_arrive(inside: dict[str, Any]) -> None:
    if not inside["nft"]:
        pytest.skip("needs nftables")
    assert not inside["after"]
    assert inside["guest_after"]


def test_nothing_is_seen_outside(inside: dict[str, Any]) -> None:
    if shutil.which("ip") is None:
        pytest.skip("needs iproute2")
    links = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout
    assert "to-attacker" not in links


def test_host_without_a_sandbox_calls_from_its_loopback_address() -> None:
    with Host("attacker", "127.77.1.2").open_socket() as opened:
        assert opened.getsockname()[0] == "127.77.1.2"
