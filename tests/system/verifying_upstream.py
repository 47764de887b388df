"""A service that believes nobody: `python -m tests.system.verifying_upstream JWKS-URL`. It verifies the transaction
token of every request, and that it tells of whom the client says it is; what it found it tells whoever connects to its
second port. A process of its own; it prints both ports.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter

import uvloop

from gateway.config import Transactions
from verifier import Jwks, NotVerified, verify

AUDIENCE = "accounts"
CALLER = b"x-caller"  # header in which a client says who it is
_ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


class Service(asyncio.Protocol):
    """One connection of the edge. Requests have no content."""

    def __init__(self, keys: Jwks, found: Counter[str]) -> None:
        self._keys = keys
        self._found = found
        self._rest = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Note where answers go."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer all that is whole."""
        *heads, self._rest = (self._rest + data).split(b"\r\n\r\n")
        for head in heads:
            self._found[self._verdict(head)] += 1
            self._transport.write(_ANSWER)

    def _verdict(self, head: bytes) -> str:
        """`judged`, or what is wrong."""
        fields = [line.partition(b": ")[::2] for line in head.split(b"\r\n")[1:]]
        tokens = [value.decode() for name, value in fields if name.lower() == b"txn-token"]
        callers = [value.decode() for name, value in fields if name.lower() == CALLER]
        if len(tokens) != 1 or len(callers) != 1:
            return f"{len(tokens)} tokens, {len(callers)} callers"
        try:
            keys = self._keys.keys(tokens[0])
            who = verify(tokens[0], keys, issuer=Transactions().issuer, audience=AUDIENCE).actor
        except NotVerified as error:
            return str(error)
        return "judged" if who == callers[0] else f"{callers[0]} came as {who}"


async def serve(jwks: str) -> None:
    """Until killed."""
    keys, found = Jwks(jwks), Counter[str]()
    loop = asyncio.get_running_loop()

    async def tell(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(json.dumps(found).encode())
        writer.close()

    service = await loop.create_server(lambda: Service(keys, found), "127.0.0.1", 0, backlog=1024)
    telling = await asyncio.start_server(tell, "127.0.0.1", 0)
    sys.stdout.write(f"{service.sockets[0].getsockname()[1]} {telling.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await asyncio.gather(service.serve_forever(), telling.serve_forever())


if __name__ == "__main__":
    uvloop.run(serve(sys.argv[1]))
