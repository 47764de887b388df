"""What is read of a request: a body within its bounds, and JSON in it."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request

from gateway.bounded import TooLarge, read_bounded
from gateway.decision_api.refused import Refused
from gateway.json_body import read_json
from policy import decode_json, too_deep


async def read_body(request: Request, most: int) -> bytes:
    """The whole body. Raises Refused for more than `most` bytes, and for one that is packed."""
    if request.headers.get("content-encoding", "identity") != "identity":
        raise Refused(400, "a packed body is not read here")
    try:
        return await read_bounded(request.stream(), most)
    except TooLarge:
        raise Refused(413, f"request body too large: at most {most} bytes") from None


async def read_object(request: Request, most: int) -> dict[str, Any]:
    """A body that is a JSON object, as AuthZEN has it. Raises Refused."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise Refused(400, "Content-Type must be application/json")
    try:
        value = read_json(await read_body(request, most))
    except ValueError as error:
        raise Refused(400, f"the body is no JSON that can be read in only one way: {error}") from None
    if type(value) is not dict or too_deep(value):
        raise Refused(400, "the body must be an object, and not nested too deep")
    return value


async def read_question(request: Request, most: int) -> Any:
    """A body as OPA reads it: nothing is None, the last of equal names wins. Raises Refused."""
    if "yaml" in request.headers.get("content-type", ""):
        raise Refused(400, "YAML is not read here")
    body = await read_body(request, most)
    return _document(body, "body") if body.strip() else None


def read_input(text: str) -> Any:
    """The parameter `input` of a GET. Raises Refused."""
    return _document(text, "parameter")


def _document(text: str | bytes, where: str) -> Any:
    try:
        return decode_json(text)
    except ValueError as error:
        raise Refused(400, f"{where} contains malformed input document: {error}") from None
