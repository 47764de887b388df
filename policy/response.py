"""A response is what the response policy answers to a verdict: blocks to order and risks to change."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

import msgspec

from policy.block import TargetKind
from policy.rego.json_text import encode
from policy.rego.values import UNDEFINED, to_python

T = TypeVar("T")
Seconds = Annotated[float, msgspec.Meta(gt=0)]


class InvalidAnswer(ValueError):
    """The policy answered with something that is no decision or no response; the policy's author's fault."""


class BlockOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A block that the policy wants. The guard has the last word."""

    kind: TargetKind
    value: str
    ttl: Seconds
    reason: str


class RiskChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A risk level that access decisions see as `data.risk[principal]` until it ends."""

    principal: str
    level: Literal["low", "medium", "high"]
    ttl: Seconds
    reason: str


class Response(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to do about a verdict; nothing at all is an answer too."""

    blocks: tuple[BlockOrder, ...] = ()
    risks: tuple[RiskChange, ...] = ()
    why: str = ""


def read_response(answer: Any) -> Response:
    """A response from the policy's answer; undefined is to do nothing. Raises InvalidAnswer."""
    if answer is UNDEFINED:
        return Response(why="no response rule applies")
    return read_as(answer, Response)


def read_as(answer: Any, kind: type[T]) -> T:
    """What the policy says, strictly. By way of its JSON text: a number may be more exact than a double. Raises
    InvalidAnswer.
    """
    try:
        return msgspec.json.decode(encode(to_python(answer)), type=kind)
    except msgspec.DecodeError as error:
        raise InvalidAnswer(str(error)) from error
