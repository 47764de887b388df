"""An ASGI application asked without a socket."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


async def ask(app: Any, scope: Mapping[str, Any], body: bytes | None) -> tuple[int, dict[str, str], Any]:
    """Status, headers and content of an answer; JSON is decoded. `body` of None ends before it began."""
    sent: list[Any] = []
    messages = iter([] if body is None else [{"type": "http.request", "body": body, "more_body": False}])

    async def receive() -> Any:
        return next(messages, {"type": "http.disconnect"})

    async def send(message: Any) -> None:
        sent.append(message)

    await app({"type": "http", "method": "POST", "query_string": b"", **scope}, receive, send)
    names = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    text = b"".join(message.get("body", b"") for message in sent[1:])
    return sent[0]["status"], names, json.loads(text) if names.get("content-type") == "application/json" else text
