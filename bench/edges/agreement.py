"""Before anything is measured: whatever judges gives the same answers."""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass

import aiohttp
import grpc

from bench.edges.side import Side
from bench.edges.site import BOB, SAM, TINA, Site
from bench.edges.variant import ACCOUNT, ALICE, ANSWER, ASKED, BALANCE, SCOPE, Variant
from bench.result import CannotRun
from bench.system import Issuer, until_ok

_SECONDS = 10.0  # for one answer
_REFUSED = {401, 403}
_REFUSALS = {grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED}


@dataclass(frozen=True)
class Question:
    """One request, and whether it must pass."""

    what: str
    path: str
    token: str  # empty for none
    passes: bool
    forged: bool = False  # shows only to who verifies the token


async def must_agree(site: Site, variant: Variant) -> None:
    """Ask every side that judges. Raises CannotRun with the first answer that is another than it must be."""
    for side in site.sides.values():
        await _until_served(side, variant, site)
        for question in _questions(site, variant):
            if side.name == "plain" or (question.forged and side.name == "plugin_decoded"):
                continue
            if await _passes(side, variant, question, site) != question.passes:
                raise CannotRun(f"{side.name} answered otherwise than it must: {question.what}")


def _questions(site: Site, variant: Variant) -> Iterator[Question]:
    issuer, path, stranger = site.issuer, variant.path, Issuer()
    stranger.url = issuer.url
    yield Question("own account", path, site.token, passes=True)
    yield Question("nobody", path, "", passes=False)
    yield Question("a signature that is none", path, f"{site.token[:-8]}AAAAAAAA", passes=False, forged=True)
    yield Question("another's key", path, stranger.token(ALICE, scope=SCOPE), passes=False, forged=True)
    yield Question("too late", path, issuer.token(ALICE, scope=SCOPE, exp=time.time() - 3600), False, forged=True)
    yield Question("another audience", path, issuer.token(ALICE, scope=SCOPE, aud="shop"), False, forged=True)
    yield Question("another issuer", path, issuer.token(ALICE, scope=SCOPE, iss="urn:x"), False, forged=True)
    yield Question("no access token", path, issuer.token(ALICE, "JWT", scope=SCOPE), False, forged=True)
    yield Question("no scope", path, issuer.token(ALICE, scope="nothing"), passes=False)
    yield Question("suspended", ACCOUNT.replace("1001", "1003"), issuer.token(SAM, scope=SCOPE), passes=False)
    if variant.grpc:
        yield Question("no such call", f"{BALANCE}s", site.token, passes=False)
    else:
        yield Question("another's account", ACCOUNT, issuer.token(BOB, scope=SCOPE), passes=False)
        yield Question("no account", f"{ACCOUNT}9", site.token, passes=False)
        teller = issuer.token(TINA, scope=SCOPE, roles=["teller"])
        yield Question("by a role", ACCOUNT, teller, passes=True)


async def _passes(side: Side, variant: Variant, question: Question, site: Site) -> bool:
    if variant.grpc:
        return await _calls(side.port, question, site.certificate)
    return await _gets(side.port, question, variant)


async def _gets(port: int, question: Question, variant: Variant) -> bool:
    headers = {"authorization": f"Bearer {question.token}"} if question.token else {}
    url = variant.url(port).removesuffix(variant.path) + question.path
    async with _session() as session, session.get(url, headers=headers) as answer:
        if answer.status not in {200, *_REFUSED}:
            raise CannotRun(f"{question.what}: answered with {answer.status}")
        return answer.status == 200


async def _calls(port: int, question: Question, certificate: bytes | None) -> bool:
    metadata = (("authorization", f"Bearer {question.token}"),) if question.token else ()
    async with _channel(port, certificate) as channel:
        try:
            call = channel.unary_unary(question.path)(ASKED, metadata=metadata, timeout=_SECONDS)
            return bool(await call == ANSWER)
        except grpc.aio.AioRpcError as error:
            if error.code() not in _REFUSALS:
                raise CannotRun(f"{question.what}: {error.code()} {error.details()}") from error
            return False


async def _until_served(side: Side, variant: Variant, site: Site) -> None:
    async with _session() as session:
        await until_ok(session, f"{variant.url(side.port).removesuffix(variant.path)}{ACCOUNT}", site.token)


def _session() -> aiohttp.ClientSession:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context))


def _channel(port: int, certificate: bytes | None) -> grpc.aio.Channel:
    if certificate is None:
        return grpc.aio.insecure_channel(f"127.0.0.1:{port}")
    return grpc.aio.secure_channel(f"127.0.0.1:{port}", grpc.ssl_channel_credentials(certificate))
