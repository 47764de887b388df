"""Reports of our endpoint and branch agents, one JSON object a message (MQTT) or line.

    {"time": 1767225600.0, "host": "laptop-tina", "user": "person:tina", "event": "process_access",
     "technique": "T1003.001", "process": "procdump.exe", "target": "lsass.exe", "severity": 4, "address": "10.0.3.7"}

time (Unix seconds), host and event are required. An ENDPOINT event: subject and actor the user, peer the host,
action the event, name the technique (ATT&CK), service the process, resource the target, address the host's own.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from telemetry.event import Event, Kind
from telemetry.malformed import Malformed, Parsed, clip, decode


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What an agent saw on its host. A field that is not here is ignored."""

    time: float
    host: Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
    event: Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
    user: Annotated[str, msgspec.Meta(pattern=r"^((person|workload|agent):.+)?$", max_length=255)] = ""  # principal id
    technique: Annotated[str, msgspec.Meta(max_length=64)] = ""  # ATT&CK or ATLAS id
    process: str = ""
    target: str = ""
    severity: Annotated[int, msgspec.Meta(ge=0, le=4)] = 0
    address: str = ""


_DECODER = msgspec.json.Decoder(Report)


def parse_endpoint(line: bytes, source: str) -> Parsed:
    """One report: an Event, or Malformed."""
    report: Report | Malformed = decode(_DECODER, line)
    if isinstance(report, Malformed):
        return report
    return Event(
        time=report.time,
        kind=Kind.ENDPOINT,
        source=source,
        subject=report.user,
        actor=report.user,
        address=clip(report.address),
        peer=report.host,
        service=clip(report.process),
        resource=clip(report.target),
        action=report.event,
        name=report.technique,
        severity=report.severity,
    )
