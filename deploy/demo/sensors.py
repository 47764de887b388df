"""The bank's sensors, simulated: a branch's Suricata (its EVE format exactly) and endpoint agents (JSON over MQTT)."""

from __future__ import annotations

import datetime
import json
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiomqtt

TOPIC = "portcullis/telemetry/endpoint"
# What nmap -F asks first.
PORTS = (
    *(7, 9, 13, 21, 22, 23, 25, 26, 37, 53, 79, 80, 81, 88, 106, 110, 111, 113, 119, 135, 139, 143, 144, 179, 199),
    *(389, 427, 443, 444, 445, 465, 513, 514, 515, 543, 544, 548, 554, 587, 631, 646, 873, 990, 993, 995, 1025),
    *(1110, 1433, 1521, 1720, 1723, 1755, 1900, 2000, 2049, 2121, 3306, 3389, 5432, 5800, 5900, 8080),
)
LEAK = "Attempted Information Leak"
BAD = "Potentially Bad Traffic"
# Signatures of Emerging Threats that such a scan sets off, by port: id, words, category.
SIGNATURES = {
    22: (2001219, "ET SCAN Potential SSH Scan", LEAK),
    1433: (2010935, "ET SCAN Suspicious inbound to MSSQL port 1433", BAD),
    1521: (2010936, "ET SCAN Suspicious inbound to Oracle SQL port 1521", BAD),
    3306: (2010937, "ET SCAN Suspicious inbound to mySQL port 3306", BAD),
    5432: (2010939, "ET SCAN Suspicious inbound to PostgreSQL port 5432", BAD),
    5800: (2002910, "ET SCAN Potential VNC Scan 5800-5820", LEAK),
    5900: (2002911, "ET SCAN Potential VNC Scan 5900-5920", LEAK),
}
NMAP = (2009582, "ET SCAN NMAP -sS window 1024", LEAK)
NMAP_EVERY = 10  # probes


class BranchSensor:
    """A branch's Suricata: writes what it sees to an EVE file, one JSON object a line."""

    def __init__(self, path: Path, seed: int) -> None:
        self.path = path
        self._chance = random.Random(seed)
        path.touch()

    def scan(self, scanner: str, target: str) -> int:
        """A port scan of `target` as Suricata reports it; the number of lines written."""
        return self._write(scan(scanner, target, time.time(), self._chance))

    def exploit(self, attacker: str, target: str) -> int:
        """Attempts at a known hole by `attacker`, as Suricata reports them; the number of lines written."""
        return self._write(exploit(attacker, target, time.time(), self._chance))

    def _write(self, lines: Iterator[dict[str, Any]]) -> int:
        text = [json.dumps(line, separators=(",", ":")) for line in lines]
        with self.path.open("a") as file:
            file.write("\n".join(text) + "\n")
        return len(text)


def scan(scanner: str, target: str, now: float, chance: random.Random) -> Iterator[dict[str, Any]]:
    """Suricata's flow and alert events of a SYN scan that ends `now`, in the order of their timestamps."""
    for step, port in enumerate(chance.sample(PORTS, len(PORTS))):
        moment = now - (len(PORTS) - step) * 0.01
        flow = _flow(scanner, target, port, moment, chance)
        seen = [SIGNATURES[port]] if port in SIGNATURES else []
        for signature in seen + [NMAP] * (step % NMAP_EVERY == 0):
            yield flow | {"event_type": "alert", "alert": _alert(*signature, 2)}
        yield flow | {"event_type": "flow", "flow": _closed(moment)}


def exploit(attacker: str, target: str, now: float, chance: random.Random) -> Iterator[dict[str, Any]]:
    """Suricata's alerts of a few attempts at Log4Shell that end `now`."""
    words = "ET EXPLOIT Apache log4j RCE Attempt (http ldap) (CVE-2021-44228)"
    signature = (2034647, words, "Attempted Administrator Privilege Gain")
    for step in range(5):
        flow = _flow(attacker, target, 8080, now - (5 - step) * 0.02, chance)
        yield flow | {
            "event_type": "alert",
            "alert": _alert(*signature, 1),
        }


def _flow(source: str, target: str, port: int, moment: float, chance: random.Random) -> dict[str, Any]:
    return {
        "timestamp": _stamp(moment),
        "flow_id": chance.randrange(1, 2**50),
        "in_iface": "eth0",
        "event_type": "",
        "src_ip": source,
        "src_port": chance.randrange(1024, 65535),
        "dest_ip": target,
        "dest_port": port,
        "proto": "TCP",
    }


def _alert(signature: int, words: str, category: str, severity: int) -> dict[str, Any]:
    return {
        "action": "allowed",
        "gid": 1,
        "signature_id": signature,
        "rev": 2,
        "signature": words,
        "category": category,
        "severity": severity,
    }


def _closed(moment: float) -> dict[str, Any]:
    counts = {"pkts_toserver": 1, "pkts_toclient": 1, "bytes_toserver": 60, "bytes_toclient": 54}
    times = {"start": _stamp(moment), "end": _stamp(moment), "age": 0}
    return {**counts, **times, "state": "closed", "reason": "timeout", "alerted": False}


def _stamp(moment: float) -> str:
    return datetime.datetime.fromtimestamp(moment, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%f%z")


def credential_dump(host: str, user: str, now: float) -> dict[str, Any]:
    """An endpoint agent's report: credentials were read out of the memory of LSASS on `host`."""
    return {
        "time": now,
        "host": host,
        "user": user,
        "event": "process_access",
        "technique": "T1003.001",
        "process": r"C:\Users\Public\m.exe",
        "target": r"C:\Windows\System32\lsass.exe",
        "severity": 4,
    }


async def publish(port: int, report: dict[str, Any]) -> None:
    """Send an endpoint report as its agent would: QoS 1. Raises aiomqtt.MqttError."""
    async with aiomqtt.Client("127.0.0.1", port) as agent:
        await agent.publish(f"{TOPIC}/{report['host']}", json.dumps(report), qos=1)
