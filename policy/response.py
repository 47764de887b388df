"""A response is what the response policy answers to a verdict: blocks to order and risks to change."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from policy.block import TargetKind
from policy.rego.values import UNDEFINED, to_python

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
    try:
        return msgspec.convert(to_python(answer), Response)
    except msgspec.ValidationError as error:
        raise InvalidAnswer(str(error)) from error
