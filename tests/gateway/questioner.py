"""The other ends of what the edge's module says: a client that asks as it does, and a fake judge that it asks."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from struct import Struct

from gateway.enforcement.frames import CONTENT_NONE, CONTENT_SHOWN, Question, answer, hello, question

HEADERS = (
    *("x-forwarded-for", "authorization", "x-forwarded-client-cert", "dpop", "signature", "signature-input"),
    *("signature-agent", "content-digest"),
)
SAID = (
    *("x-portcullis-decision", "x-portcullis-subject", "x-portcullis-actor", "txn-token", "x-forwarded-for"),
    *("www-authenticate", "dpop-nonce", "x-portcullis-effect", "x-portcullis-route"),
)
_QUESTION = Struct("<IBBHQ12I")
_ANSWER = Struct("<IBBHQIBBH10I")
Reply = tuple[int, Mapping[str, str], bytes]  # status, headers, body


@dataclass(frozen=True)
class Asked:
    """A question, as a request."""

    method: str
    raw_path: str
    host: str
    headers: dict[str, str]


@dataclass(frozen=True)
class Answered:
    """An answer's frame, taken apart."""

    number: int
    allowed: bool
    status: int
    ttl_ms: int
    varies: int
    buckets: tuple[int, ...]
    headers: dict[str, str]
    body: bytes = field(repr=False)


def asking(
    method: str, target: str, headers: Mapping[str, str], body: bytes | None = None, number: int = 1, host: str = "bank"
) -> bytes:
    """The frame of a question. `body`: the content that the route shows."""
    parts = [method, target, host, *(headers.get(name, "") for name in HEADERS)]
    raw = [*(part.encode("latin-1") for part in parts), body or b""]
    content = CONTENT_NONE if body is None else CONTENT_SHOWN
    size = _QUESTION.size - 4 + sum(map(len, raw))
    return _QUESTION.pack(size, 1, content, 0, number, *map(len, raw)) + b"".join(raw)


def answered(frame: bytes) -> Answered:
    """What a whole answer says."""
    _, kind, allowed, status, number, ttl_ms, varies, count, _, *lengths = _ANSWER.unpack_from(frame)
    assert kind == 2
    at = _ANSWER.size + 2 * count
    buckets = Struct(f"<{count}H").unpack_from(frame, _ANSWER.size)
    texts = []
    for length in lengths:
        texts.append(frame[at : at + length])
        at += length
    assert at == len(frame)
    headers = {name: text.decode("latin-1") for name, text in zip(SAID, texts[:-1], strict=True) if text}
    return Answered(number, bool(allowed), status, ttl_ms, varies, buckets, headers, texts[-1])


async def read_frame(reader: asyncio.StreamReader) -> bytes:
    """One frame, with its length."""
    head = await reader.readexactly(4)
    return head + await reader.readexactly(int.from_bytes(head, "little"))


class Questioner:
    """A connection to a judge."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def connected(cls, socket: Path) -> Questioner:
        made = cls(*await asyncio.open_unix_connection(str(socket)))
        greeting = await read_frame(made.reader)
        assert greeting[4] == 1
        return made

    async def ask(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes | None = None, host: str = "bank"
    ) -> Answered:
        self.writer.write(asking(method, target, headers, body, host=host))
        async with asyncio.timeout(5):
            return answered(await read_frame(self.reader))


async def serve(
    socket: Path, authorize: Callable[[Asked, bytes], Awaitable[Reply]], instance: int = 1
) -> Callable[[], Awaitable[None]]:
    """A fake judge on a Unix socket; the call that ends it, and every connection."""
    living: set[asyncio.StreamWriter] = set()

    async def connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        living.add(writer)
        writer.write(hello(instance))
        try:
            async with asyncio.TaskGroup() as tasks:
                while True:
                    found = question(await read_frame(reader), 0)
                    assert found is not None
                    tasks.create_task(reply(found[0], writer))
        except* (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            living.discard(writer)
            writer.close()

    async def reply(asked: Question, writer: asyncio.StreamWriter) -> None:
        number, _, parts = asked
        method, target, host, *rest = (part.decode("latin-1") for part in parts[:11])
        headers = {name: value for name, value in zip(HEADERS, rest, strict=True) if value}
        status, told, body = await authorize(Asked(method, target, host, headers), parts[11])
        said = [*(told.get(name, "").encode("latin-1") for name in SAID), body]
        writer.write(answer(number, status == 200, status, 0, 0, (), said))

    server = await asyncio.start_unix_server(connection, str(socket))

    async def close() -> None:
        server.close()
        for writer in tuple(living):
            writer.close()
        async with asyncio.timeout(5):
            while living:  # noqa: ASYNC110  # the loop's next turns
                await asyncio.sleep(0)

    return close
