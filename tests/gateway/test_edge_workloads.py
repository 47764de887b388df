"""Workloads at a real Envoy: whose certificates it believes, and how that changes while connections stay open."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from cryptography import x509

from gateway.config import Tls, TrustDomain
from gateway.edge import resources
from gateway.identity import Credentials, Identifier
from gateway.trust import Trust
from policy import Principal
from tests.gateway.edge_rig import Rig, allow, rig, until
from tests.gateway.questioner import Asked, Reply
from tests.gateway.workloads import DOMAIN, SVID, Ca, Leaf, document, self_signed, usage, x509_jwk

OTHER = "other.example"
OTHER_SVID = "spiffe://other.example/batch"
SERVER = Ca("server")
OURS, THEIRS = Ca(DOMAIN), Ca(OTHER)
BETWEEN = Ca("between", OURS)
CLOSED = 0  # instead of a status: no handshake


def tls(folder: Path, server: Leaf | None = None, **more: Path) -> Tls:
    """The edge's certificate, and what else there is."""
    leaf = server or SERVER.leaf(other=(x509.DNSName("localhost"),))
    certificate, key = leaf.write(folder, "server")
    return Tls(certificate=certificate, key=key, **more)


def written(folder: Path, name: str, content: bytes) -> Path:
    """A file, in the place of the one before as a whole."""
    new = folder / f"{name}.new"
    new.write_bytes(content)
    return new.replace(folder / name)


def two_domains(folder: Path) -> tuple[TrustDomain, ...]:
    """One in PEM, one as a SPIFFE bundle."""
    return (
        TrustDomain(name=DOMAIN, bundle=written(folder, "ours.pem", OURS.pem)),
        TrustDomain(name=OTHER, bundle=written(folder, "theirs.json", document(x509_jwk(THEIRS.certificate)))),
    )


def trusting(folder: Path, client: Leaf | None) -> ssl.SSLContext:
    """A client's TLS; each has its own, so that no session is shared."""
    context = ssl.create_default_context(cadata=SERVER.pem.decode())
    if client:
        context.load_cert_chain(*client.write(folder, "client"))
    return context


async def status(edge: Rig, folder: Path, client: Leaf | None) -> int:
    """The answer to one request on a connection of its own; CLOSED if there is none."""
    url = f"https://localhost:{edge.config.edge.port}/accounts/1"
    async with aiohttp.ClientSession() as session:
        try:
            async with session.get(url, ssl=trusting(folder, client)) as answer:
                return answer.status
        except (aiohttp.ClientError, ssl.SSLError):
            return CLOSED


class Gateway:
    """What the gateway does for the edge: look at the files, publish what changed, and ask who is there."""

    def __init__(self, edge: Rig) -> None:
        self._edge = edge
        self._identifier = Identifier(edge.config.identity)
        self.trust = Trust(edge.config.edge.tls, edge.config.identity.trust_domains, self._changed)

    def judge(self, request: Asked, body: bytes) -> Reply:
        """Who shows a certificate that names a workload is allowed; nobody else."""
        shown = Credentials("", request.headers.get("x-forwarded-client-cert", ""))
        answer = self._identifier.identify(shown, time.time())
        return allow(request, body) if isinstance(answer, Principal) else (401, {"x-portcullis-decision": "r-1"}, b"")

    def _changed(self) -> None:
        self._identifier.put_bundles(self.trust.bundles)
        self._edge.ads.publish(resources(self._edge.config, True, self.trust.material))


@asynccontextmanager
async def judged(*domains: TrustDomain, tls: Tls) -> AsyncIterator[Rig]:
    """An edge and its gateway."""
    async with rig(trust_domains=domains, tls=tls) as edge:
        gateway = Gateway(edge)
        edge.gateway.answer = gateway.judge
        await gateway.trust.look()
        keeping = asyncio.create_task(gateway.trust.keep())
        yield edge
        keeping.cancel()
        await asyncio.wait([keeping])
        assert edge.ads.state.rejections == 0


@pytest.mark.parametrize(
    "client",
    [OURS.leaf(SVID), BETWEEN.leaf(SVID), THEIRS.leaf(OTHER_SVID), OURS.leaf(SVID, other=(x509.DNSName("batch"),))],
    ids=["ours", "intermediate", "theirs", "other names"],
)
async def test_a_workload_of_a_trusted_domain_is_let_in(tmp_path: Path, client: Leaf) -> None:
    async with judged(*two_domains(tmp_path), tls=tls(tmp_path)) as edge:
        assert await status(edge, tmp_path, client) == 200


async def test_who_shows_no_certificate_is_asked_for_something_else(tmp_path: Path) -> None:
    async with judged(*two_domains(tmp_path), tls=tls(tmp_path)) as edge:
        assert await status(edge, tmp_path, None) == 401
        assert "x-forwarded-client-cert" not in edge.gateway.asked[0]["headers"]


@pytest.mark.parametrize(
    ("client", "outcome"),
    [
        (self_signed(SVID), CLOSED),
        (Ca(DOMAIN).leaf(SVID), CLOSED),
        (OURS.leaf(OTHER_SVID), 401),
        (THEIRS.leaf(SVID), 401),
        (OURS.leaf("spiffe://third.example/batch"), 401),
        (OURS.leaf(SVID, hours=-0.5), CLOSED),
        (OURS.leaf(SVID, begins=6), CLOSED),
        (Ca("expired", OURS, hours=-0.5).leaf(SVID), CLOSED),
        (Ca("between", THEIRS).leaf(SVID), 401),
        (OURS.leaf(SVID, ca=True), 401),
        (OURS.leaf(SVID, key_usage=usage(certificates=True)), 401),
        (OURS.leaf(SVID, key_usage=usage(lists=True)), 401),
        (OURS.leaf(), 401),
        (OURS.leaf("https://bank.example/batch"), 401),
        (OURS.leaf(SVID, key_usage=usage(signs=False)), CLOSED),
        (OURS.leaf(SVID, "spiffe://bank.example/root"), 401),
        (OURS.leaf(SVID, OTHER_SVID), 401),
        (OURS.leaf("spiffe://bank.example/../root"), 401),
        (OURS.leaf("spiffe://bank.example"), 401),
    ],
    ids=[
        "self-signed",
        "an authority of the same name",
        "our authority, their domain",
        "their authority, our domain",
        "a domain that is not trusted",
        "expired",
        "not yet valid",
        "expired intermediate",
        "their intermediate",
        "an authority's",
        "signs certificates",
        "signs lists",
        "no name",
        "no SPIFFE id",
        "signs nothing",
        "two names",
        "names of two domains",
        "dots",
        "no path",
    ],
)
async def test_a_bad_certificate_is_never_let_in(tmp_path: Path, client: Leaf, outcome: int) -> None:
    async with judged(*two_domains(tmp_path), tls=tls(tmp_path)) as edge:
        assert await status(edge, tmp_path, client) == outcome
        assert not edge.seen
        assert await status(edge, tmp_path, OURS.leaf(SVID)) == 200


async def test_a_domain_whose_bundle_is_not_known_yet_vouches_for_nobody(tmp_path: Path) -> None:
    nowhere = TrustDomain(name=DOMAIN, workload_api=tmp_path / "agent.sock")
    async with judged(nowhere, tls=tls(tmp_path)) as edge:
        assert await status(edge, tmp_path, OURS.leaf(SVID)) == 401
        assert await status(edge, tmp_path, None) == 401


async def test_a_domain_without_a_bundle_of_its_own_is_vouched_for_by_the_client_authority(tmp_path: Path) -> None:
    domains = (TrustDomain(name=DOMAIN), two_domains(tmp_path)[1])
    settings = tls(tmp_path, client_ca=written(tmp_path, "ca.pem", OURS.pem))
    async with judged(*domains, tls=settings) as edge:
        assert await status(edge, tmp_path, OURS.leaf(SVID)) == 200
        assert await status(edge, tmp_path, THEIRS.leaf(OTHER_SVID)) == 200
        assert await status(edge, tmp_path, THEIRS.leaf(SVID)) == 401


async def test_an_authority_that_poses_as_one_of_an_earlier_domain_does_not_stand_in_its_way(tmp_path: Path) -> None:
    posing = Ca(DOMAIN, posing_as=OURS)
    ours, theirs = two_domains(tmp_path)
    written(tmp_path, "theirs.json", document(x509_jwk(THEIRS.certificate), x509_jwk(posing.certificate)))
    async with judged(ours, theirs, tls=tls(tmp_path)) as edge:
        assert await status(edge, tmp_path, OURS.leaf(SVID)) == 200
        assert await status(edge, tmp_path, THEIRS.leaf(OTHER_SVID)) == 200
        assert await status(edge, tmp_path, posing.leaf(SVID)) in (CLOSED, 401)


@pytest.mark.parametrize("of_domain", [True, False], ids=["trust domain", "client authority"])
async def test_a_revoked_certificate_is_not_let_in(tmp_path: Path, of_domain: bool) -> None:
    good, bad, below = OURS.leaf(SVID), OURS.leaf(SVID), BETWEEN.leaf(SVID)
    lists = written(tmp_path, "crl.pem", OURS.revoking(bad.certificate) + BETWEEN.revoking())
    authorities = written(tmp_path, "ca.pem", OURS.pem)
    domains = (TrustDomain(name=DOMAIN, bundle=authorities, crl=lists),) if of_domain else (TrustDomain(name=DOMAIN),)
    settings = tls(tmp_path) if of_domain else tls(tmp_path, client_ca=authorities, crl=lists)
    async with judged(*domains, tls=settings) as edge:
        assert await status(edge, tmp_path, bad) == CLOSED
        assert [await status(edge, tmp_path, client) for client in (good, below)] == [200, 200]
        async with Open.to(edge, trusting(tmp_path, below)) as connection:
            assert await connection.status() == 200
            written(tmp_path, "crl.pem", OURS.revoking(bad.certificate) + BETWEEN.revoking(below.certificate))
            await until(lambda: _is(edge, tmp_path, below, CLOSED), "the new list counts")
            assert await connection.status() == 401
        assert [await status(edge, tmp_path, client) for client in (good, bad)] == [200, CLOSED]
        written(tmp_path, "crl.pem", OURS.revoking(BETWEEN.certificate) + BETWEEN.revoking())
        await until(lambda: _is(edge, tmp_path, bad, 200), "what is no longer revoked counts")
        assert [await status(edge, tmp_path, client) for client in (good, below)] == [200, CLOSED]


@pytest.mark.parametrize("old", [True, False])
async def test_a_list_that_is_out_of_date_or_missing_refuses_all_whom_it_could_name(tmp_path: Path, old: bool) -> None:
    content = OURS.revoking(hours=-0.5) if old else THEIRS.revoking()
    files = (written(tmp_path, "ours.pem", OURS.pem), written(tmp_path, "crl.pem", content))
    async with judged(TrustDomain(name=DOMAIN, bundle=files[0], crl=files[1]), tls=tls(tmp_path)) as edge:
        assert await status(edge, tmp_path, OURS.leaf(SVID)) == CLOSED
        assert await status(edge, tmp_path, None) == 401
        written(tmp_path, "crl.pem", OURS.revoking())
        await until(lambda: _is(edge, tmp_path, OURS.leaf(SVID), 200), "with a list that is none of them")


@pytest.mark.parametrize("asked", [True, False])
async def test_a_session_is_resumed_only_where_nobody_shows_a_certificate(tmp_path: Path, asked: bool) -> None:
    domains = two_domains(tmp_path) if asked else ()
    async with judged(*domains, tls=tls(tmp_path)) as edge:
        port, context = edge.config.edge.port, trusting(tmp_path, OURS.leaf(SVID))
        assert await asyncio.to_thread(_is_resumed, port, context) != asked


def _is_resumed(port: int, context: ssl.SSLContext) -> bool:
    """Whether a second connection goes on with the session of a first."""
    session = None
    for _ in range(2):
        with context.wrap_socket(
            socket.create_connection(("localhost", port), 10), server_hostname="localhost", session=session
        ) as connection:
            connection.sendall(b"GET /accounts/1 HTTP/1.1\r\nhost: bank\r\n\r\n")
            assert connection.recv(100).startswith(b"HTTP/1.1 ")  # tickets come before it
            session, reused = connection.session, connection.session_reused
    return bool(reused)


async def _is(edge: Rig, folder: Path, client: Leaf | None, outcome: int) -> bool:
    return await status(edge, folder, client) == outcome


async def _shows(edge: Rig, certificate: x509.Certificate) -> bool:
    """Whether a new connection is shown this certificate."""
    context = ssl.create_default_context(cadata=SERVER.pem.decode())
    _, writer = await asyncio.open_connection("localhost", edge.config.edge.port, ssl=context)
    shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.transport.abort()
    return bool(x509.load_der_x509_certificate(shown) == certificate)


class Open:
    """A connection that stays open, with requests one after another."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    @asynccontextmanager
    async def to(cls, edge: Rig, context: ssl.SSLContext) -> AsyncIterator[Open]:
        reader, writer = await asyncio.open_connection("localhost", edge.config.edge.port, ssl=context)
        yield cls(reader, writer)
        writer.transport.abort()

    @property
    def is_open(self) -> bool:
        """Whether the other side has not ended it."""
        return not self._reader.at_eof() and not self._writer.transport.is_closing()

    async def status(self, path: str = "/accounts/1") -> int:
        """The answer to one more request; what comes after it of a stream is left unread."""
        self._writer.write(f"GET {path} HTTP/1.1\r\nhost: bank\r\n\r\n".encode())
        async with asyncio.timeout(10):
            head = (await self._reader.readuntil(b"\r\n\r\n")).decode().lower()
            await self._reader.readexactly(int(head.partition("content-length: ")[2].split("\r\n")[0] or 0))
        return int(head.split()[1])


async def test_certificate_and_bundle_change_while_a_connection_is_served(tmp_path: Path) -> None:
    old, new = (SERVER.leaf(other=(x509.DNSName("localhost"),)) for _ in range(2))
    successor = Ca(DOMAIN)
    domains = (TrustDomain(name=DOMAIN, bundle=written(tmp_path, "ours.pem", OURS.pem)),)
    async with judged(*domains, tls=tls(tmp_path, old)) as edge:
        assert await _shows(edge, old.certificate)
        client = trusting(tmp_path, OURS.leaf(SVID))
        async with Open.to(edge, client) as connection, Open.to(edge, client) as live:
            assert await connection.status() == 200
            assert await live.status("/streams/live") == 200
            assert await status(edge, tmp_path, successor.leaf(SVID)) == CLOSED

            new.write(tmp_path, "server")
            await until(lambda: _shows(edge, new.certificate), "new connections see the new certificate")
            assert await connection.status() == 200

            written(tmp_path, "ours.pem", OURS.pem + successor.pem)
            await until(lambda: _is(edge, tmp_path, successor.leaf(SVID), 200), "the new authority is believed")
            assert await status(edge, tmp_path, OURS.leaf(SVID)) == 200

            written(tmp_path, "ours.pem", successor.pem)
            await until(lambda: _is(edge, tmp_path, OURS.leaf(SVID), CLOSED), "the old authority is not")
            assert await status(edge, tmp_path, successor.leaf(SVID)) == 200
            assert await connection.status() == 401  # it stays open, and nobody vouches for its caller any more
            assert live.is_open
            assert edge.gateway.tethers == 1


async def test_a_half_written_pair_never_reaches_the_edge(tmp_path: Path) -> None:
    old, new = (SERVER.leaf(other=(x509.DNSName("localhost"),)) for _ in range(2))
    async with judged(*two_domains(tmp_path), tls=tls(tmp_path, old)) as edge:
        written(tmp_path, "server.pem", new.chain)
        await asyncio.sleep(1.5)  # the file is looked at meanwhile; too short a time could hide a fault, not make one
        assert await _shows(edge, old.certificate)
        written(tmp_path, "server.key", new.key)
        await until(lambda: _shows(edge, new.certificate), "the pair is taken when it is whole")
        assert edge.ads.state.rejections == 0
