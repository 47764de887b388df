"""The document that policy sees as `input`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from detectors import Verdict
from policy.block import BlockPolicy
from policy.decision import AccessRequest
from policy.rego.values import from_python

VERSION = 1  # of the input's schema, policy/schemas/access-input.1.json
SIGNALS_VERSION = 1  # policy/schemas/signals-input.1.json
MAX_DEPTH = 64  # of arrays and objects in one another, far below what Python's own stack bears


def access_input(request: AccessRequest) -> dict[str, Any]:
    """`input` of an access decision. Raises TypeError if the body is not JSON (a NaN, for one); a body that
    is `too_deep` may overflow the stack.
    """
    who, path, body = request.principal, request.path, request.body
    actors = who.actors
    return {
        "version": VERSION,
        "principal": {
            "id": who.id,
            "kind": who.kind,
            "issuer": who.issuer,
            "actor": actors[0].id if actors else who.id,
            "actors": [{"id": actor.id, "kind": actor.kind} for actor in actors] if actors else [],
            "proof": [*who.proof],
            "assurance": who.assurance,
            "authenticated": who.authenticated,
            "scopes": [*who.scopes],
            "roles": [*who.roles],
            "client": who.client,
            "audience": [*who.audience],
            "agent": who.agent,
            "attributes": who.attributes,
        },
        "action": request.action,
        "service": request.service,
        "path": path,
        "segments": path[1:].split("/") if len(path) > 1 else [],
        "query": request.query,
        "host": request.host,
        "address": request.address,
        "stream": request.stream,
        "body": None if body is None else from_python(body),
        "device": request.device,
        "context": request.context,
        "time": request.time,
    }


def too_deep(value: Any, limit: int = MAX_DEPTH) -> bool:
    """Whether JSON nests more than `limit` arrays and objects in one another: then it is no body for an access request,
    and its sender is to be told so. Looks at each value once, level by level.
    """
    level = [value]
    for _ in range(limit + 1):
        level = [held for held in level if type(held) is dict or type(held) is list]
        if not level:
            return False
        level = [inner for held in level for inner in (held.values() if type(held) is dict else held)]
    return True


def response_input(verdict: Verdict, principal: str, now: float) -> dict[str, Any]:
    """`input` of the response policy. `principal` is the identity behind the verdict's subject, empty if unknown."""
    return {"verdict": from_python(msgspec.to_builtins(verdict)), "principal": principal, "now": now}


def signals_input(event: Mapping[str, Any], principals: Sequence[str], now: float) -> dict[str, Any]:
    """`input` of the signals policy; `principals` are the ids of those whom the event's subject matches. Raises
    TypeError if the event is not JSON.
    """
    told = from_python({**event})
    return {"version": SIGNALS_VERSION, "event": told, "principals": [*principals], "now": now}


def guard_input(block: BlockPolicy, radius: Mapping[str, int], now: float) -> dict[str, Any]:
    """`input` of the SOC's rules about blocks; `radius` is whom of the last hour's good callers it would hit."""
    return {"block": from_python(msgspec.to_builtins(block)), "radius": {**radius}, "now": now}
