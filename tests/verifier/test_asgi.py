"""The middleware: what an application sees of a request, and which requests it never sees."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.verifier.rig import GATEWAY, OTHER, SERVICE, fresh, key_file, signed
from verifier import Jwks, Transaction
from verifier.asgi import TransactionMiddleware


class Served:
    """An application behind the middleware, and what came of each connection."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.scopes: list[Any] = []
        keys = Jwks(key_file(folder))
        self.app = TransactionMiddleware(self._application, keys, issuer=GATEWAY, audience=SERVICE, **options)

    async def _application(self, scope: Any, receive: Any, send: Any) -> None:
        self.scopes.append(scope)

    async def ask(
        self, *tokens: str, kind: str = "http", name: bytes = b"txn-token", path: str = "/accounts"
    ) -> list[Any]:
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        async def receive() -> Any:
            raise AssertionError("nothing is read before the token is verified")

        headers = [(b"host", b"bank"), *((name, token.encode("latin-1")) for token in tokens)]
        await self.app({"type": kind, "path": path, "headers": headers}, receive, send)
        return sent


@pytest.fixture
def served(tmp_path: Path) -> Served:
    return Served(tmp_path)


@pytest.mark.parametrize("kind", ["http", "websocket"])
async def test_the_application_finds_the_transaction_in_the_scope(served: Served, kind: str) -> None:
    assert await served.ask(fresh(), kind=kind) == []
    transaction = served.scopes[0]["portcullis.transaction"]
    assert isinstance(transaction, Transaction)
    assert (transaction.subject, transaction.actor) == ("person:alice", "agent:invoice-bot")


async def test_header_names_have_no_case(served: Served) -> None:
    await served.ask(fresh(), name=b"Txn-Token")
    assert len(served.scopes) == 1


@pytest.mark.parametrize(
    ("tokens", "why"),
    [
        ((), b"0 txn-token headers, not one"),
        ((fresh(), fresh()), b"2 txn-token headers, not one"),
        (("",), b"not a transaction token"),
        (("\xff",), b"not a transaction token"),
        ((signed(iat=4_000_000_000, exp=4_000_000_015),), b"in the future"),
        ((signed(iat=1_000_000_000, exp=1_000_000_015),), b"its life was over"),
        ((fresh(aud="accounts"),), b"meant for 'accounts', not for 'payments'"),
        ((fresh(key=OTHER),), b"not signed by the gateway"),
        ((fresh(headers={"kid": "k\u00e9"}),), b"does not publish"),
    ],
)
async def test_without_one_good_token_the_answer_is_401_and_says_why(
    served: Served, tokens: tuple[str, ...], why: bytes
) -> None:
    start, body = await served.ask(*tokens)
    assert (start["status"], served.scopes) == (401, [])
    assert dict(start["headers"])[b"www-authenticate"] == b"Txn-Token"
    assert int(dict(start["headers"])[b"content-length"]) == len(body["body"])
    assert b'"error": "invalid_transaction_token"' in body["body"]
    assert why in body["body"]


async def test_a_websocket_is_closed_before_it_opens(served: Served) -> None:
    (closed,) = await served.ask(kind="websocket")
    assert (closed["type"], closed["code"], served.scopes) == ("websocket.close", 1008, [])


async def test_a_life_span_passes(served: Served) -> None:
    async def never(*_: Any) -> Any:
        raise AssertionError

    await served.app({"type": "lifespan"}, never, never)
    assert served.scopes == [{"type": "lifespan"}]


async def test_an_open_path_needs_no_token_and_has_no_transaction(tmp_path: Path) -> None:
    served = Served(tmp_path, open_paths=["/healthz"])
    for tokens in ((), ("nonsense",), (fresh(),)):
        assert await served.ask(*tokens, path="/healthz") == []
    assert ["portcullis.transaction" in scope for scope in served.scopes] == [False] * 3


@pytest.mark.parametrize(
    "path", ["/healthz/", "/healthz/../accounts", "//healthz", "/HEALTHZ", "/healthz;x", "/", "", "/a/healthz"]
)
async def test_nothing_else_is_open(tmp_path: Path, path: str) -> None:
    served = Served(tmp_path, open_paths=["/healthz"])
    assert (await served.ask(path=path))[0]["status"] == 401
    assert served.scopes == []


@pytest.mark.parametrize(("options", "kind"), [({}, "http"), ({"open_paths": ["/healthz"]}, "websocket")])
async def test_no_path_is_open_unasked_and_no_websocket(tmp_path: Path, options: dict[str, Any], kind: str) -> None:
    served = Served(tmp_path, **options)
    assert await served.ask(path="/healthz", kind=kind) != []
    assert served.scopes == []
