"""Suricata's EVE JSON, one record a line.

    alert  ALERT    name signature, action category, outcome allowed|blocked, resource the URL or domain if there is one
    flow   FLOW     service app_proto, action tcp|udp|icmp, outcome the flow's state and why it ended
    dns    DNS      resource the name asked for, action its type, outcome "query" or the answer's code
    http   REQUEST  resource the path, action method, peer the host asked for
    tls    REQUEST  action "TLS", peer the server name (SNI)
    dhcp   LEASE    address the one assigned, peer the host's name as it calls itself, or its MAC, duration of the lease

DHCP messages that give no address are ignored.

Source: Suricata user guide, "EVE JSON Format" (DNS records of versions 1 to 3).
"""

from __future__ import annotations

import math
from typing import Any, ClassVar, Final

import msgspec

from telemetry.event import Event, EventBatch, Kind
from telemetry.malformed import Count, Malformed, Parsed, Port, clip, decode, iso_time
from telemetry.sources.eve_block import eve_block
from telemetry.sources.eve_record import Alert, Dhcp, Dns, Flow, Http, Tls, path, service, severity


class _Record(msgspec.Struct, tag_field="event_type", kw_only=True):
    timestamp: str
    src_ip: str
    dest_ip: str
    dest_port: Port = 0
    proto: str = ""
    app_proto: str = ""
    flow_id: Count = 0

    def tells(self) -> bool:
        """Whether there is an event in it."""
        return True


class _AlertRecord(_Record, tag="alert", kw_only=True):
    kind: ClassVar[Kind] = Kind.ALERT
    src_ip: str = ""  # an alert on a frame below IP has none
    dest_ip: str = ""
    alert: Alert
    http: Http | None = None
    dns: Any = None  # its shape differs between versions and matters only where a dns record is read
    flow: Flow | None = None

    def columns(self) -> dict[str, Any]:
        flow = self.flow or Flow()
        return {
            "name": clip(self.alert.signature),
            "action": clip(self.alert.category),
            "outcome": clip(self.alert.action),
            "resource": clip(path(self.http.url) if self.http else ""),
            "service": clip(service(self.app_proto)),
            "severity": severity(self.alert),
            "bytes_in": flow.bytes_toserver,
            "bytes_out": flow.bytes_toclient,
        }


class _FlowRecord(_Record, tag="flow", kw_only=True):
    kind: ClassVar[Kind] = Kind.FLOW
    flow: Flow

    def columns(self) -> dict[str, Any]:
        duration = iso_time(self.flow.end) - iso_time(self.flow.start)
        return {
            "service": clip(service(self.app_proto)),
            "action": clip(self.proto.lower()),
            "outcome": clip(f"{self.flow.state} {self.flow.reason}".strip()),
            "bytes_in": self.flow.bytes_toserver,
            "bytes_out": self.flow.bytes_toclient,
            "duration": 0.0 if math.isnan(duration) else duration,
        }


class _DnsRecord(_Record, tag="dns", kw_only=True):
    kind: ClassVar[Kind] = Kind.DNS
    dns: Dns

    def columns(self) -> dict[str, Any]:
        asked = self.dns.queries[0] if self.dns.queries else self.dns
        answered = self.dns.type in ("answer", "response")
        return {
            "service": "dns",
            "resource": clip(asked.rrname),
            "action": clip(asked.rrtype),
            "outcome": clip(self.dns.rcode or "answer") if answered else "query",
        }


class _HttpRecord(_Record, tag="http", kw_only=True):
    kind: ClassVar[Kind] = Kind.REQUEST
    http: Http

    def columns(self) -> dict[str, Any]:
        return {
            "peer": clip(self.http.hostname or self.dest_ip),
            "service": "http",
            "resource": clip(path(self.http.url)),
            "action": clip(self.http.http_method),
            "status": self.http.status,
            "bytes_out": self.http.length,
        }


class _TlsRecord(_Record, tag="tls", kw_only=True):
    kind: ClassVar[Kind] = Kind.REQUEST
    tls: Tls

    def columns(self) -> dict[str, Any]:
        return {"peer": clip(self.tls.sni or self.dest_ip), "service": "tls", "action": "TLS"}


class _DhcpRecord(_Record, tag="dhcp", kw_only=True):
    kind: ClassVar[Kind] = Kind.LEASE
    dhcp: Dhcp

    def tells(self) -> bool:
        return self.dhcp.gives_address()

    def columns(self) -> dict[str, Any]:
        return {
            "session": "",
            "address": clip(self.dhcp.assigned_ip),
            "peer": clip(self.dhcp.hostname or self.dhcp.client_mac),
            "port": 0,
            "action": "lease",
            "duration": float(self.dhcp.lease_time),
        }


class _AnyRecord(msgspec.Struct):
    event_type: str


_READ = ("alert", "flow", "dns", "http", "tls", "dhcp")
_DECODER = msgspec.json.Decoder(_AlertRecord | _FlowRecord | _DnsRecord | _HttpRecord | _TlsRecord | _DhcpRecord)
_ANY = msgspec.json.Decoder(_AnyRecord)


class EveParser:
    """Reads EVE records, one or many; it remembers nothing."""

    def __call__(self, line: bytes, source: str) -> Parsed:
        """One EVE record: an Event, None for one that is not read, or Malformed."""
        record = decode(_DECODER, line)
        if isinstance(record, Malformed):
            return _unread(line, record)
        moment = iso_time(record.timestamp)
        if math.isnan(moment):
            return Malformed("bad_time", record.timestamp[:64])
        if not record.tells():
            return None
        common: dict[str, Any] = {
            "time": moment,
            "kind": record.kind,
            "source": source,
            "session": str(record.flow_id) if record.flow_id else "",
            "address": clip(record.src_ip),
            "peer": clip(record.dest_ip),
            "port": record.dest_port,
        }
        return Event(**(common | record.columns()))

    def many(self, block: bytes, source: str) -> tuple[EventBatch, int] | None:
        """See ParseMany."""
        return eve_block(block, source, self)


parse_eve: Final = EveParser()


def _unread(line: bytes, malformed: Malformed) -> Malformed | None:
    if malformed.reason != "wrong_fields":
        return malformed
    record = decode(_ANY, line)
    return malformed if isinstance(record, Malformed) or record.event_type in _READ else None
