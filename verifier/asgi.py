"""For ASGI applications: no request without a transaction gets in."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from typing import Any, Final

from verifier.jwks import Jwks
from verifier.transaction import HEADER, NotVerified, Transaction, verify

TRANSACTION: Final = "portcullis.transaction"  # its name in the scope
_NAME = HEADER.encode()

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


class TransactionMiddleware:
    """Puts the Transaction into `scope["portcullis.transaction"]`, or answers 401 and says why. A WebSocket is refused
    before it is accepted. HTTP requests to `open_paths`, each a whole path such as "/healthz", need no token and have
    no Transaction, whatever they show: not for paths that callers reach through the gateway.
    """

    def __init__(
        self, app: Application, keys: Jwks, *, issuer: str, audience: str, open_paths: Collection[str] = ()
    ) -> None:
        self._app = app
        self._open = frozenset(open_paths)
        self._keys = keys
        self._issuer = issuer
        self._audience = audience

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] in ("http", "websocket") and not self._is_open(scope):
            try:
                scope = {**scope, TRANSACTION: await self._transaction(scope)}
            except NotVerified as error:
                return await _refuse(scope, send, str(error))
        return await self._app(scope, receive, send)

    def _is_open(self, scope: Scope) -> bool:
        return scope["type"] == "http" and scope["path"] in self._open

    async def _transaction(self, scope: Scope) -> Transaction:
        shown = [value.decode("latin-1") for name, value in scope["headers"] if name.lower() == _NAME]
        if len(shown) != 1:
            raise NotVerified(f"{len(shown)} {HEADER} headers, not one")
        keys = await self._keys.keys_async(shown[0])
        return verify(shown[0], keys, issuer=self._issuer, audience=self._audience)


async def _refuse(scope: Scope, send: Send, detail: str) -> None:
    if scope["type"] == "websocket":
        return await send({"type": "websocket.close", "code": 1008, "reason": "invalid transaction token"})
    body = json.dumps({"error": "invalid_transaction_token", "detail": detail}).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
        (b"www-authenticate", b"Txn-Token"),
    ]
    await send({"type": "http.response.start", "status": 401, "headers": headers})
    return await send({"type": "http.response.body", "body": body})
