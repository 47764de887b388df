"""The parts of an EVE record, and what their words mean to us."""

from __future__ import annotations

from typing import Any

import msgspec

from telemetry.malformed import Count, Status

_SEVERITY = {1: 3, 2: 2, 3: 1, 4: 1}  # Suricata counts from 1, the worst
_NO_SERVICE = ("failed", "unknown")  # Suricata's words for a protocol that it did not recognize


class AlertMetadata(msgspec.Struct, gc=False):
    """What the rule says of itself."""

    signature_severity: Any = None


class Alert(msgspec.Struct, gc=False):
    """Of an alert: the rule that matched."""

    signature: str
    category: str = ""
    action: str = ""
    severity: int = 0
    metadata: AlertMetadata | None = None


class Flow(msgspec.Struct, gc=False):
    """Of a flow: sizes, times and how it ended."""

    bytes_toserver: Count = 0
    bytes_toclient: Count = 0
    start: str = ""
    end: str = ""
    state: str = ""
    reason: str = ""


class Query(msgspec.Struct, gc=False):
    """One question."""

    rrname: str = ""
    rrtype: str = ""


class Dns(msgspec.Struct, gc=False):
    """Of a DNS message."""

    rrname: str = ""
    rrtype: str = ""
    rcode: str = ""
    type: str = "query"
    queries: tuple[Query, ...] = ()  # version 3 keeps the name here


class Http(msgspec.Struct, gc=False):
    """Of an HTTP exchange."""

    status: Status = 0
    length: Count = 0
    hostname: str = ""
    url: str = ""
    http_method: str = ""


class Tls(msgspec.Struct, gc=False):
    """Of a TLS handshake."""

    sni: str = ""


class Dhcp(msgspec.Struct, gc=False):
    """Of a DHCP message. The length of the lease is told where the sensor is set to `extended`."""

    type: str = ""
    dhcp_type: str = ""
    assigned_ip: str = ""
    client_mac: str = ""
    hostname: str = ""
    lease_time: Count = 0  # seconds

    def gives_address(self) -> bool:
        """Whether a server gives one; it also confirms what a client knows of the network without it (DHCPINFORM)."""
        answered = self.type == "reply" and self.dhcp_type == "ack"
        return answered and self.assigned_ip not in ("", "0.0.0.0")  # noqa: S104 - no address


def severity(alert: Alert) -> int:
    """Ours of a rule's."""
    told = alert.metadata.signature_severity if alert.metadata else None
    return 4 if told in ("Critical", ["Critical"]) else _SEVERITY.get(alert.severity, 0)


def path(url: str) -> str:
    """Without its query."""
    return url.partition("?")[0]


def service(app_proto: str) -> str:
    """Empty where Suricata recognized none."""
    return "" if app_proto in _NO_SERVICE else app_proto
