"""OpenC2 messages as they travel: the producer's requests, and the actuator's responses. JSON, OpenC2 1.0."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Any

import msgspec

from defense_lines.agent.openc2_command import ORDERS, Command, as_dict, is_number, read_json
from defense_lines.agent.openc2_gate import Stamp
from defense_lines.line import Digest, Note, Outcome

OURS = "x-portcullis"  # the header, and the name in results, of what is our own
OUTCOMES: frozenset[Outcome] = frozenset(("enforced", "lifted", "refused", "failed", "expired"))

Denial = tuple[str, str, float]  # command id, network, seconds


def request(
    request_id: str, producer: str, created: float, command: dict[str, Any], stamp: Stamp | None = None
) -> bytes:
    """The message of one command; `created` in Unix seconds; with a stamp where it is to be sealed."""
    headers: dict[str, Any] = {"request_id": request_id, "created": int(created * 1000), "from": producer}
    if stamp is not None:
        headers[OURS] = stamp
    return msgspec.json.encode({"body": {"openc2": {"request": command}}, "headers": headers})


def deny(network: str, seconds: float, command_id: str) -> dict[str, Any]:
    """The command that blocks a network. Everything is said that SLPF would default otherwise: rules persist over
    restarts unless told not to, and hold for both directions.
    """
    kind = "ipv6_net" if ":" in network else "ipv4_net"
    slpf = {"drop_process": "none", "persistent": False, "direction": "ingress"}
    arguments = {"duration": _milliseconds(seconds), "response_requested": "complete", "slpf": slpf}
    return _command("deny", {kind: str(ipaddress.ip_network(network))}, arguments, command_id)


def delete(rule: int, command_id: str) -> dict[str, Any]:
    """The command that ends a rule."""
    return _command("delete", {"slpf:rule_number": rule}, {"response_requested": "complete"}, command_id)


def update(denials: Sequence[Denial], deletions: Sequence[str]) -> dict[str, Any]:
    """The command that carries many orders (our extension)."""
    deny = [(name, network, _milliseconds(seconds)) for name, network, seconds in denials]
    orders = {"deny": deny, "delete": deletions}
    return _command("update", {ORDERS: orders}, {"response_requested": "complete"}, "update")


def list_orders(unless: Digest | None = None, beyond: float = 0.0) -> dict[str, Any]:
    """The command that asks which rules stand (our extension), as ListOrders says."""
    said = {} if unless is None else {"count": unless.count, "sum": f"{unless.sum:x}", "beyond": int(beyond * 1000)}
    return _command("query", {ORDERS: said}, {"response_requested": "complete"}, "list")


def arrival(device: str, created: float, nonce: str) -> bytes:
    """The notification that a consumer is connected, and what binds it (our extension)."""
    headers = {"created": int(created * 1000), "from": device, OURS: {"nonce": nonce}}
    return msgspec.json.encode({"body": {"openc2": {"notification": {OURS: "connected"}}}, "headers": headers})


def response(
    command: Command,
    device: str,
    created: float,
    status: int,
    text: str,
    results: dict[str, Any],
    said: dict[str, str] | None = None,
) -> bytes:
    """The message that answers a command; `said` beside it is ours."""
    headers: dict[str, Any] = {"created": int(created * 1000), "from": device}
    if said:
        headers[OURS] = said
    if command.request_id:
        headers["request_id"] = command.request_id
    if command.producer:
        headers["to"] = [command.producer]
    body: dict[str, Any] = {"status": status}
    if text:
        body["status_text"] = text
    if results:
        body["results"] = results
    return msgspec.json.encode({"body": {"openc2": {"response": body}}, "headers": headers})


class Response(msgspec.Struct, frozen=True):
    """An actuator's answer, as far as the producer needs it; or its notification, of status 0 and to no request."""

    sender: str
    request_id: str
    status: int
    created: float  # Unix seconds by the actuator's clock, 0 if it did not say
    text: str
    results: dict[str, Any]
    head: str = ""  # echoed
    refused: str = ""  # why it did not come through the gate
    nonce: str = ""  # that binds the consumer

    @property
    def rule(self) -> int | None:
        """The number of the rule that was made, if it says."""
        number = as_dict(self.results.get("slpf")).get("rule_number")
        return number if is_number(number) else None

    @property
    def orders(self) -> dict[str, int] | None:
        """Rule number by command id, if this answers our extension."""
        listed = as_dict(self.results.get(OURS)).get("orders")
        if not isinstance(listed, list):
            return None
        entries = [(as_dict(entry).get("command_id"), as_dict(entry).get("rule_number")) for entry in listed]
        return {name: number for name, number in entries if isinstance(name, str) and is_number(number)}

    @property
    def in_step(self) -> bool:
        """Whether what stands has the digest that was asked about, if this answers our extension."""
        return as_dict(self.results.get(OURS)).get("in_step") is True

    @property
    def notes(self) -> list[Note] | None:
        """What there is to say of orders in an update; None if this does not answer one as it should."""
        said = as_dict(self.results.get(OURS)).get("notes", [])
        try:
            rows = msgspec.convert(said, list[tuple[str, str, str]])
        except msgspec.ValidationError:
            return None
        notes = [Note(name, outcome, words) for name, outcome, words in rows if outcome in OUTCOMES]
        return notes if len(notes) == len(rows) else None


def read_response(payload: bytes) -> Response | None:
    """Read what an actuator answered or notified; None if it is neither."""
    message = as_dict(read_json(payload))
    headers = as_dict(message.get("headers"))
    content = as_dict(as_dict(message.get("body")).get("openc2"))
    body, said = as_dict(content.get("response")), as_dict(headers.get(OURS))
    request_id, status, created = headers.get("request_id"), body.get("status"), headers.get("created")
    if "notification" in content:
        request_id, status = "", 0
    if not isinstance(request_id, str) or not is_number(status):
        return None
    return Response(
        sender=_text(headers.get("from")),
        request_id=request_id,
        status=status,
        created=created / 1000 if is_number(created) else 0.0,
        text=_text(body.get("status_text")),
        results=as_dict(body.get("results")),
        head=_text(said.get("head")),
        refused=_text(said.get("refused")),
        nonce=_text(said.get("nonce")),
    )


def _text(value: Any) -> str:
    return value[:500] if isinstance(value, str) else ""


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000))


def _command(action: str, target: dict[str, Any], arguments: dict[str, Any], command_id: str) -> dict[str, Any]:
    return {
        "action": action,
        "target": target,
        "args": arguments,
        "actuator": {"slpf": {}},
        "command_id": command_id,
    }
