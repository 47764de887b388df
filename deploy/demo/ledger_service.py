"""The bank's gRPC service `bank.Ledger`: it serves only what the edge has judged, and only to the account's owner."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any, NoReturn, Protocol

import grpc

from deploy.demo import bank_pb2, bank_pb2_grpc
from deploy.demo.cast import GATEWAY, GRPC_SERVICE
from verifier import HEADER, Jwks, NotVerified, verify

WATCH_SECONDS = 0.05  # pace of a watch


class Books(Protocol):
    """What the service needs of the bank."""

    keys: Jwks
    accounts: dict[str, dict[str, Any]]
    judged: int
    unjudged: int


class Ledger(bank_pb2_grpc.LedgerServicer):
    """Balances of the accounts in `books`."""

    def __init__(self, books: Books) -> None:
        self.books = books

    async def Balance(self, request: Any, context: Any) -> Any:  # noqa: N802 - named by the service's definition
        """One statement now."""
        await self._admit(request, context)
        return self._statement(request.account, 0)

    async def Watch(self, request: Any, context: Any) -> AsyncIterator[Any]:  # noqa: N802 - as above
        """A statement every 50 ms until the caller is gone."""
        await self._admit(request, context)
        start = time.monotonic()
        sequence = 0
        while True:
            yield self._statement(request.account, sequence)
            sequence += 1
            await asyncio.sleep(max(0.0, start + sequence * WATCH_SECONDS - time.monotonic()))

    async def _admit(self, request: Any, context: Any) -> None:
        said = dict(context.invocation_metadata() or ())
        token = said.get(HEADER, "")
        try:
            transaction = verify(token, await self.books.keys.keys_async(token), issuer=GATEWAY, audience=GRPC_SERVICE)
        except NotVerified as error:
            self.books.unjudged += 1
            await _refuse(context, grpc.StatusCode.PERMISSION_DENIED, f"not through the edge: {error}")
        self.books.judged += 1
        account = self.books.accounts.get(request.account)
        # Policy sees a method, not the message within: whose account it is, is for the service to check.
        if account is None or account["owner"] != transaction.subject:
            await _refuse(context, grpc.StatusCode.PERMISSION_DENIED, "not your account")

    def _statement(self, account: str, sequence: int) -> Any:
        cents = self.books.accounts[account]["cents"]
        return bank_pb2.Statement(account=account, cents=cents, sequence=sequence, time=time.time())


async def _refuse(context: Any, code: Any, words: str) -> NoReturn:
    await context.abort(code, words)
    raise AssertionError("abort returned")


async def start(books: Books, port: int) -> Any:
    """Serve `books` on 127.0.0.1; the started `grpc.aio` server, to be stopped by the caller."""
    server = grpc.aio.server()
    bank_pb2_grpc.add_LedgerServicer_to_server(Ledger(books), server)  # type: ignore[no-untyped-call]
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    return server
