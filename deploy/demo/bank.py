"""The bank's HTTP service: accounts, payments and live statements. It believes the gateway's transaction token alone,
and checks it on every request.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from deploy.demo import ledger_service
from deploy.demo.cast import GATEWAY, HTTP_SERVICE, accounts
from verifier import HEADER, Jwks, NotVerified, Transaction, verify

STATEMENT_SECONDS = 0.05  # pace of a statement stream
Handler = Callable[[Request], Awaitable[Response]]


class Bank:
    """Accounts in memory, and a count of what reached it with and without a transaction token."""

    def __init__(self, keys: Jwks) -> None:
        self.keys = keys
        self.accounts = accounts()
        self.judged = 0
        self.unjudged = 0
        self.payments: list[dict[str, Any]] = []

    def only_judged(self, handle: Handler) -> Handler:
        """Refuse, and count, what did not come through the edge."""

        async def handler(request: Request) -> Response:
            try:
                request.state.transaction = await self._transaction(request.headers.getlist(HEADER))
            except NotVerified as error:
                self.unjudged += 1
                return JSONResponse({"error": f"not through the edge: {error}"}, 403)
            self.judged += 1
            return await handle(request)

        return handler

    async def _transaction(self, shown: list[str]) -> Transaction:
        if len(shown) != 1:
            raise NotVerified(f"{len(shown)} {HEADER} headers, not one")
        return verify(shown[0], await self.keys.keys_async(shown[0]), issuer=GATEWAY, audience=HTTP_SERVICE)

    async def account(self, request: Request) -> Response:
        """One account: id, owner, balance, and who the edge says is asking."""
        number = request.path_params["number"]
        if number not in self.accounts:
            return JSONResponse({"error": "no such account"}, 404)
        return JSONResponse({"account": number, **self.accounts[number], "asked_by": request.state.transaction.actor})

    async def pay(self, request: Request) -> Response:
        """Move `amount` whole units: `{"from", "to", "amount"}`. 400 if it is not that, 404, or 409 without funds."""
        try:
            order = json.loads(await request.body())
            source, target, cents = str(order["from"]), str(order["to"]), round(float(order["amount"]) * 100)
        except (ValueError, KeyError, TypeError):
            return JSONResponse({"error": "not a payment"}, 400)
        if source not in self.accounts or target not in self.accounts:
            return JSONResponse({"error": "no such account"}, 404)
        if not 0 < cents <= self.accounts[source]["cents"]:
            return JSONResponse({"error": "amount"}, 409)
        self.accounts[source]["cents"] -= cents
        self.accounts[target]["cents"] += cents
        self.payments.append({"from": source, "to": target, "cents": cents, "by": request.state.transaction.actor})
        return JSONResponse({"paid": order["amount"], "from": source, "to": target})

    async def statements(self, request: Request) -> Response:
        """Live statements as server-sent events, one every 50 ms, numbered from 0."""
        number = request.path_params["number"]
        if number not in self.accounts:
            return JSONResponse({"error": "no such account"}, 404)
        return StreamingResponse(self._statements(number), media_type="text/event-stream")

    async def _statements(self, number: str) -> AsyncIterator[str]:
        start = time.monotonic()
        sequence = 0
        while True:
            event = {"account": number, "cents": self.accounts[number]["cents"], "sequence": sequence}
            yield f"id: {sequence}\ndata: {json.dumps(event)}\n\n"
            sequence += 1
            await asyncio.sleep(max(0.0, start + sequence * STATEMENT_SECONDS - time.monotonic()))

    async def audit(self, _request: Request) -> Response:
        """How many requests came with a decision and how many without; the edge has no route here."""
        return JSONResponse({"judged": self.judged, "unjudged": self.unjudged, "payments": self.payments})

    def app(self) -> Starlette:
        """The routes."""
        return Starlette(
            routes=[
                Route("/accounts/{number}", self.only_judged(self.account)),
                Route("/payments", self.only_judged(self.pay), methods=["POST"]),
                Route("/streams/accounts/{number}", self.only_judged(self.statements)),
                Route("/audit/unjudged", self.audit),
            ]
        )


async def serve(http_port: int, grpc_port: int, jwks: Path) -> None:
    """Serve HTTP and gRPC on 127.0.0.1 until cancelled or signalled. `jwks`: the gateway's keys."""
    bank = Bank(Jwks(jwks, pause=0.2))
    ledger = await ledger_service.start(bank, grpc_port)
    settings = uvicorn.Config(bank.app(), "127.0.0.1", http_port, log_level="warning", timeout_graceful_shutdown=1)
    try:
        await uvicorn.Server(settings).serve()
    finally:
        await ledger.stop(grace=0.2)


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--http", type=int, required=True)
    options.add_argument("--grpc", type=int, required=True)
    options.add_argument("--jwks", type=Path, required=True)
    given = options.parse_args()
    asyncio.run(serve(given.http, given.grpc, given.jwks))
