"""OpenC2 1.0 commands of the SLPF profile (Stateless Packet Filtering v1.0), read strictly from outside bytes.

What is not understood in every part is answered and never half obeyed: 400 for what is malformed, 501 for what is well
formed and not supported. SLPF has one target a command and cannot list its rules, so there is one target more, ours:
`x-portcullis:orders`. `update` of it holds what to deny and what to end, by command id; `query` asks what stands.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Any, Literal, TypeGuard

import msgspec

from defense_lines.agent.orders import Network
from defense_lines.line import Digest

MAX_MESSAGE = 256 * 1024  # bytes of one command
MAX_DURATION = 10 * 365 * 86_400_000  # milliseconds
ORDERS = "x-portcullis:orders"
PAIRS: dict[str, list[str]] = {
    "deny": ["ipv4_net", "ipv6_net"],
    "delete": ["slpf:rule_number"],
    "query": ["features", ORDERS],
    "update": [ORDERS],
}
FEATURES = ("versions", "profiles", "pairs", "rate_limit")
_SLPF = {"drop_process": "none", "persistent": False, "direction": "ingress"}

_COMMAND_ID = re.compile(r"[A-Za-z0-9._-]{1,36}")
_REQUEST_ID = re.compile(r"[\x21-\x7e]{1,128}")
_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")

ResponseRequested = Literal["none", "ack", "status", "complete"]


class Deny(msgspec.Struct, frozen=True):
    """Drop packets from or to a network for a time."""

    network: Network
    seconds: float


class Delete(msgspec.Struct, frozen=True):
    """End one rule."""

    rule: int


class Features(msgspec.Struct, frozen=True):
    """Say what is supported."""

    names: tuple[str, ...]


class ListOrders(msgspec.Struct, frozen=True):
    """Say which rules stand, unless those that do for longer than `beyond` seconds have the digest."""

    unless: Digest | None = None
    beyond: float = 0.0


class Update(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Deny and end many, each apart from the others."""

    deny: tuple[tuple[str, str, int], ...] = ()  # command id, network, milliseconds
    delete: tuple[str, ...] = ()  # command ids


class _Unless(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    count: int
    sum: str  # hexadecimal, for JSON carries no such numbers
    beyond: int  # milliseconds


Action = Deny | Delete | Features | ListOrders | Update


class Fault(msgspec.Struct, frozen=True):
    """A command that is not carried out: the status that says why, and words."""

    status: int
    text: str


class Command(msgspec.Struct, frozen=True):
    """One command as far as it could be read; `action` is a Fault where it cannot be carried out."""

    action: Action | Fault
    request_id: str = ""
    command_id: str = ""
    producer: str = ""
    asset: str = ""  # the asset_id that the actuator must have, empty for any
    foreign: bool = False  # for actuators of another profile
    answer: ResponseRequested = "complete"


def read_command(payload: bytes) -> Command:
    """Read a command; never raises: what cannot be carried out is a Fault."""
    if len(payload) > MAX_MESSAGE:
        return Command(Fault(400, f"longer than {MAX_MESSAGE} bytes"))
    message = read_json(payload)
    if message is None:
        return Command(Fault(400, "not JSON"))
    headers = as_dict(as_dict(message).get("headers"))
    body = as_dict(as_dict(as_dict(message).get("body")).get("openc2")).get("request")
    request_id, producer = _text(headers.get("request_id"), _REQUEST_ID), _text(headers.get("from"), _NAME)
    if not request_id or not isinstance(body, dict):
        return Command(Fault(400, "no request, or no request_id"), request_id=request_id, producer=producer)
    arguments = body.get("args", {})
    asset, foreign = _actuator(body.get("actuator", {}))
    return Command(
        _action(body, arguments),
        request_id=request_id,
        command_id=_text(body.get("command_id"), _COMMAND_ID),
        producer=producer,
        asset=asset,
        foreign=foreign,
        answer=_answer(arguments),
    )


def read_json(payload: bytes) -> Any:
    """The JSON document that arrived, or None if it is none (or null)."""
    try:
        return msgspec.json.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def is_number(value: Any) -> TypeGuard[int]:
    """Whether it is a whole number that JSON carries exactly."""
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1 << 53


def read_network(value: Any, version: int = 0) -> Network | None:
    """A network in CIDR notation, of this version of IP if one is said; None for what is none."""
    if not isinstance(value, str) or "%" in value:  # a zone is for one host's own links
        return None
    try:
        network = ipaddress.ip_network(value)
    except ValueError:
        return None
    return network if version in (0, network.version) else None


def as_dict(value: Any) -> dict[str, Any]:
    """The object, or an empty one for what is none."""
    return value if isinstance(value, dict) else {}


def _action(body: dict[str, Any], arguments: Any) -> Action | Fault:
    action, target = body.get("action"), body.get("target")
    if unknown := body.keys() - {"action", "target", "args", "actuator", "command_id"}:
        return Fault(400, f"unknown field {_shown(min(unknown))}")
    if "command_id" in body and not _text(body["command_id"], _COMMAND_ID):
        return Fault(400, "command_id: 1 to 36 of A-Z a-z 0-9 . _ -")
    if not isinstance(action, str) or not isinstance(target, dict) or len(target) != 1:
        return Fault(400, "needs one action and one target")
    if not isinstance(arguments, dict) or not isinstance(body.get("actuator", {}), dict):
        return Fault(400, "args and actuator are objects")
    ((kind, value),) = target.items()
    if kind not in PAIRS.get(action, ()):
        return Fault(501, f"{_shown(action)} {_shown(kind)} is not supported")
    if fault := _check_arguments(action, arguments):
        return fault
    if action == "deny":
        return _deny(kind, value, arguments)
    if action == "delete":
        return Delete(value) if is_number(value) and value > 0 else Fault(400, "rule_number: a number above 0")
    if action == "update":
        return _update(value)
    return _features(value) if kind == "features" else _list(value)


def _check_arguments(action: str, arguments: dict[str, Any]) -> Fault | None:
    requested = arguments.get("response_requested", "complete")
    if requested not in ("none", "ack", "status", "complete"):
        return Fault(400, "response_requested: none, ack, status or complete")
    supported = {"response_requested"} | ({"duration", "slpf"} if action == "deny" else set())
    if unknown := arguments.keys() - supported:
        return Fault(501, f"argument {_shown(min(unknown))} is not supported with {action}")
    return None


def _deny(kind: str, value: Any, arguments: dict[str, Any]) -> Deny | Fault:
    duration, slpf = arguments.get("duration"), arguments.get("slpf", {})
    if not isinstance(slpf, dict):
        return Fault(400, "args.slpf is an object")
    if duration is None:
        return Fault(501, "rules without a duration are not supported")
    if not is_number(duration) or not 0 < duration <= MAX_DURATION:
        return Fault(400, "duration: milliseconds, above 0, at most ten years")
    if fault := _check_slpf(slpf):
        return fault
    network = read_network(value, 4 if kind == "ipv4_net" else 6)
    return Deny(network, duration / 1000) if network else Fault(400, f"{kind}: not a network in CIDR notation")


def _check_slpf(slpf: dict[str, Any]) -> Fault | None:
    """SLPF's defaults are not ours (rules persist over restarts, and hold in both directions), so each must be said."""
    if unknown := slpf.keys() - _SLPF:
        return Fault(501, f"argument slpf.{_shown(min(unknown))} is not supported")
    for name, only in _SLPF.items():
        if slpf.get(name) != only or type(slpf[name]) is not type(only):
            return Fault(501, f"slpf.{name} must be said, and only {msgspec.json.encode(only).decode()} is supported")
    return None


def _features(value: Any) -> Features | Fault:
    if not isinstance(value, list) or len(value) > 10 or not all(isinstance(name, str) for name in value):
        return Fault(400, "features: a list of up to ten names")
    if unknown := set(value) - set(FEATURES):
        return Fault(400, f"feature {_shown(min(unknown))} is not known")
    return Features(tuple(value))


def _list(value: Any) -> ListOrders | Fault:
    if value == {}:
        return ListOrders()
    try:
        said = msgspec.convert(value, _Unless)
        return ListOrders(Digest(said.count, int(said.sum, 16)), said.beyond / 1000)
    except ValueError as error:  # msgspec's is one
        return Fault(400, f"{ORDERS}: {error}")


def _update(value: Any) -> Update | Fault:
    try:
        update = msgspec.convert(value, Update)
    except msgspec.ValidationError as error:
        return Fault(400, f"{ORDERS}: {error}")
    ids = [*(row[0] for row in update.deny), *update.delete]
    if len(set(ids)) < len(ids) or not all(_COMMAND_ID.fullmatch(each) for each in ids):
        return Fault(400, f"{ORDERS}: each command_id once, 1 to 36 of A-Z a-z 0-9 . _ -")
    return update


def _actuator(actuator: Any) -> tuple[str, bool]:
    """The asset_id asked for, and whether another profile, or what we cannot check, is asked for."""
    if not isinstance(actuator, dict) or not actuator:
        return "", False
    if set(actuator) != {"slpf"} or not isinstance(actuator["slpf"], dict):
        return "", True
    asset = actuator["slpf"].get("asset_id", "")
    return (asset, False) if isinstance(asset, str) and not actuator["slpf"].keys() - {"asset_id"} else ("", True)


def _answer(arguments: Any) -> ResponseRequested:
    requested = as_dict(arguments).get("response_requested")
    return requested if requested in ("none", "ack", "status") else "complete"


def _text(value: Any, pattern: re.Pattern[str]) -> str:
    return value if isinstance(value, str) and pattern.fullmatch(value) else ""


def _shown(value: str) -> str:
    return repr(value[:40])
