"""OpenC2 messages as they travel: the producer's requests, and the actuator's responses. JSON, OpenC2 1.0."""

from __future__ import annotations

import ipaddress
from typing import Any

import msgspec

from defense_lines.agent.openc2_command import ORDERS, Command, as_dict, is_number, read_json


def request(request_id: str, producer: str, created: float, command: dict[str, Any]) -> bytes:
    """The message of one command; `created` in Unix seconds."""
    headers = {"request_id": request_id, "created": int(created * 1000), "from": producer}
    return msgspec.json.encode({"headers": headers, "body": {"openc2": {"request": command}}})


def deny(network: str, seconds: float, command_id: str) -> dict[str, Any]:
    """The command that blocks a network. Everything is said that SLPF would default otherwise: rules persist over
    restarts unless told not to, and hold for both directions.
    """
    kind = "ipv6_net" if ":" in network else "ipv4_net"
    slpf = {"drop_process": "none", "persistent": False, "direction": "ingress"}
    arguments = {"duration": max(1, round(seconds * 1000)), "response_requested": "complete", "slpf": slpf}
    return _command("deny", {kind: str(ipaddress.ip_network(network))}, arguments, command_id)


def delete(rule: int, command_id: str) -> dict[str, Any]:
    """The command that ends a rule."""
    return _command("delete", {"slpf:rule_number": rule}, {"response_requested": "complete"}, command_id)


def list_orders() -> dict[str, Any]:
    """The command that asks which rules stand (our extension)."""
    return _command("query", {ORDERS: {}}, {"response_requested": "complete"}, "list")


def response(command: Command, device: str, created: float, status: int, text: str, results: dict[str, Any]) -> bytes:
    """The message that answers a command."""
    headers: dict[str, Any] = {"created": int(created * 1000), "from": device}
    if command.request_id:
        headers["request_id"] = command.request_id
    if command.producer:
        headers["to"] = [command.producer]
    body: dict[str, Any] = {"status": status}
    if text:
        body["status_text"] = text
    if results:
        body["results"] = results
    return msgspec.json.encode({"headers": headers, "body": {"openc2": {"response": body}}})


class Response(msgspec.Struct, frozen=True):
    """An actuator's answer, as far as the producer needs it."""

    request_id: str
    status: int
    created: float  # Unix seconds by the actuator's clock, 0 if it did not say
    text: str
    results: dict[str, Any]

    @property
    def rule(self) -> int | None:
        """The number of the rule that was made, if it says."""
        number = as_dict(self.results.get("slpf")).get("rule_number")
        return number if is_number(number) else None

    @property
    def orders(self) -> dict[str, int] | None:
        """Rule number by command id, if this answers our extension."""
        listed = as_dict(self.results.get("x-portcullis")).get("orders")
        if not isinstance(listed, list):
            return None
        entries = [(as_dict(entry).get("command_id"), as_dict(entry).get("rule_number")) for entry in listed]
        return {name: number for name, number in entries if isinstance(name, str) and is_number(number)}


def read_response(payload: bytes) -> Response | None:
    """Read what an actuator answered; None if it is not an OpenC2 response to anybody's request."""
    message = read_json(payload)
    headers = as_dict(as_dict(message).get("headers"))
    body = as_dict(as_dict(as_dict(as_dict(message).get("body")).get("openc2")).get("response"))
    request_id, status, created = headers.get("request_id"), body.get("status"), headers.get("created")
    if not isinstance(request_id, str) or not is_number(status):
        return None
    when = created / 1000 if is_number(created) else 0.0
    text = body.get("status_text")
    words = text[:500] if isinstance(text, str) else ""
    return Response(request_id, status, when, words, as_dict(body.get("results")))


def _command(action: str, target: dict[str, Any], arguments: dict[str, Any], command_id: str) -> dict[str, Any]:
    return {
        "action": action,
        "target": target,
        "args": arguments,
        "actuator": {"slpf": {}},
        "command_id": command_id,
    }
