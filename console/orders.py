"""What an operator may order, read from a request and checked: who, whom, why, how much."""

from __future__ import annotations

import pwd
from collections.abc import Sequence
from ipaddress import ip_address, ip_network
from typing import Any, Literal, TypeVar, get_args

import msgspec
from starlette.requests import Request

from gateway.bounded import TooLarge, read_bounded
from gateway.lifting import Selection
from policy import InvalidTarget, Target, TargetKind, decode_json, path_of

PEER = "uid"  # the client of a request whose uid the kernel told: (PEER, uid)
MAX_JSON = 64 * 1024  # bytes of one request that orders something
MAX_DATA = 512 * 1024  # bytes of one change of policy data; what is larger belongs into the policy's own document
MAX_LIMIT = 10_000  # records in one answer
MAX_MANY = 256 * 1024  # bytes of one request that blocks many
MAX_BLOCKS = 1_000  # in one request
MAX_TTL = 366 * 86_400.0  # seconds; the guard's own limit is lower

Index = Literal[
    "principal",
    "actor",
    "session",
    "address",
    "range",
    "subject",
    "login",
    "token",
    "key",
    "certificate",
    "device",
    "email",
    "service",
    "revision",
]  # by what live sessions are found
T = TypeVar("T")


class AddBlock(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An order to block."""

    kind: TargetKind
    value: str
    ttl: float  # seconds
    reason: str
    by: str = ""  # who asks, where the uid alone does not say
    override: bool = False
    dry_run: bool = False

    def __post_init__(self) -> None:
        _check_ttl(self.ttl)


class Wanted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who is to be blocked, of many."""

    kind: TargetKind
    value: str


class AddBlocks(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An order to block many for one reason, each judged by itself."""

    targets: tuple[Wanted, ...]
    ttl: float  # seconds
    reason: str
    by: str = ""
    override: bool = False
    dry_run: bool = False

    def __post_init__(self) -> None:
        _check_ttl(self.ttl)
        if not 0 < len(self.targets) <= MAX_BLOCKS:
            raise ValueError(f"targets must be 1 to {MAX_BLOCKS}")


class LiftBlock(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An order to lift a block, by a named operator and for a reason."""

    reason: str
    by: str = ""


class LiftBlocks(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An order to lift all blocks that have something in common."""

    selection: Selection
    reason: str
    by: str = ""
    dry_run: bool = False

    def __post_init__(self) -> None:
        if self.selection.everything:
            raise ValueError("a selection must leave something out")
        if self.selection.within:
            ip_network(self.selection.within)


class Decide(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A second person's word on a block that waits."""

    reason: str
    by: str = ""


class CutSessions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An order to cut live sessions."""

    kind: Index
    value: str
    reason: str
    by: str = ""
    dry_run: bool = False


class ReloadConfiguration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An order to read the configuration again."""

    dry_run: bool = False


class PutData(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An order to write a value into the policy's data."""

    path: str  # JSON pointer
    value: msgspec.Raw
    reason: str
    by: str = ""
    dry_run: bool = False


class RemoveData(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An order to take a live value out of the policy's data."""

    path: str  # JSON pointer
    reason: str
    by: str = ""
    dry_run: bool = False


class PatchData(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An order to apply a JSON patch to the policy's data."""

    operations: msgspec.Raw
    reason: str
    by: str = ""
    dry_run: bool = False


class CallerError(Exception):
    """The request cannot be meant: answered with `status` and these words."""

    def __init__(self, status: int, what: str) -> None:
        super().__init__(what)
        self.status = status


async def read_body(request: Request, limit: int) -> bytes:
    """Read the body, at most `limit` bytes. Raises CallerError."""
    try:
        return await read_bounded(request.stream(), limit)
    except TooLarge:
        raise CallerError(413, f"body larger than {limit} bytes") from None


async def read_order(request: Request, kind: type[T], limit: int = MAX_JSON) -> T:
    """Read one order from a JSON body of at most `limit` bytes. Raises CallerError."""
    try:
        return msgspec.json.decode(await read_body(request, limit), type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CallerError(400, str(error)) from error


def data_path(pointer: str) -> tuple[str, ...]:
    """The path that a JSON pointer stands for. Raises CallerError."""
    try:
        return path_of(pointer)
    except ValueError as error:
        raise CallerError(400, str(error)) from error


def json_value(raw: msgspec.Raw) -> Any:
    """The value, its numbers without loss. Raises CallerError."""
    try:
        return decode_json(bytes(raw))
    except ValueError as error:
        raise CallerError(400, str(error)) from error


def target(kind: TargetKind, value: str) -> Target:
    """The canonical target. Raises CallerError."""
    try:
        return Target.of(kind, value)
    except InvalidTarget as error:
        raise CallerError(400, str(error)) from error


def targets(wanted: Sequence[Wanted]) -> list[Target]:
    """The canonical targets; one that is none refuses all. Raises CallerError."""
    found = list[Target]()
    for number, each in enumerate(wanted):
        try:
            found.append(target(each.kind, each.value))
        except CallerError as error:
            raise CallerError(400, f"targets[{number}]: {error}") from error
    return found


def reason(text: str) -> str:
    """The reason that goes on record; there must be one. Raises CallerError."""
    if not 0 < len(text.strip()) <= 1000:
        raise CallerError(400, "reason must be 1 to 1000 characters")
    return text.strip()


def selection(request: Request) -> tuple[str, str]:
    """Which sessions are asked for: index and value, both empty for all. Raises CallerError."""
    index, value = request.query_params.get("index", ""), request.query_params.get("value", "")
    if index not in ("", *get_args(Index)):
        raise CallerError(400, f"index must be one of {', '.join(get_args(Index))}")
    if bool(index) != bool(value):
        raise CallerError(400, "index and value go together")
    return whom(index, value) if index else ("", "")


def whom(index: str, value: str) -> tuple[str, str]:
    """Whose sessions are meant: an index and a value that it can have. Raises CallerError."""
    try:
        network = ip_network(value) if index == "range" else ip_address(value) if index == "address" else None
    except ValueError as error:
        raise CallerError(400, f"value: {error}") from error
    if not 0 < len(value) <= 4096 or not value.isprintable():
        raise CallerError(400, "value must be 1 to 4096 printable characters")
    return index, value if network is None else str(network)


def limit(request: Request) -> int:
    """How many records are asked for. Raises CallerError."""
    text = request.query_params.get("limit", "100")
    if not (text.isascii() and text.isdigit() and len(text) < 10 and 1 <= int(text) <= MAX_LIMIT):
        raise CallerError(400, f"limit must be 1 to {MAX_LIMIT}")
    return int(text)


def operator(request: Request, stated: str) -> str:
    """Who answers for an order: the name that the kernel vouches for, and the one that the caller stated.

    Raises CallerError.
    """
    if len(stated) > 100 or not stated.isprintable():
        raise CallerError(400, "by must be at most 100 printable characters")
    if request.client is None or request.client.host != PEER:
        raise CallerError(403, "orders are taken over the Unix socket alone")
    user = _user(request.client.port)
    return f"{stated} as {user}" if stated else user


def _check_ttl(ttl: float) -> None:
    if not 0 < ttl <= MAX_TTL:
        raise ValueError(f"ttl must be above 0 and at most {MAX_TTL:.0f} seconds")


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
