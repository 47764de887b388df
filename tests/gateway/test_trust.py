"""Trust, kept current: files that change, an agent that speaks the Workload API, and what the edge is given of it."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat
from spiffe._proto import workload_pb2, workload_pb2_grpc

from gateway.config import Tls, TrustDomain
from gateway.identity.spiffe import Bundle
from gateway.trust import Trust
from tests.gateway.edge_rig import until
from tests.gateway.workloads import DOMAIN, SVID, Ca, document, jwk, x509_jwk

OTHER = "other.example"
EC, RSA = ec.generate_private_key(ec.SECP256R1()), rsa.generate_private_key(public_exponent=65537, key_size=2048)


class FakeAgent(workload_pb2_grpc.SpiffeWorkloadAPIServicer):
    """An agent that hands out what it is told to, and sees whether it was asked as the standard wants."""

    def __init__(self, socket: Path) -> None:
        self.socket = socket
        self.certificates: dict[str, bytes] = {}
        self.tokens: dict[str, bytes] = {}
        self.refuses = False
        self.asked = 0

    async def FetchX509Bundles(self, request: Any, context: Any) -> AsyncIterator[Any]:  # noqa: N802
        await self._admit(context)
        yield workload_pb2.X509BundlesResponse(bundles=self.certificates)

    async def FetchJWTBundles(self, request: Any, context: Any) -> AsyncIterator[Any]:  # noqa: N802
        await self._admit(context)
        yield workload_pb2.JWTBundlesResponse(bundles=self.tokens)

    async def _admit(self, context: Any) -> None:
        self.asked += 1
        if self.refuses or ("workload.spiffe.io", "true") not in context.invocation_metadata():
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, "no identity issued")

    def knows(self, name: str, *authorities: Ca, **keys: Any) -> None:
        """What it hands out for one trust domain."""
        ders = (authority.certificate.public_bytes(Encoding.DER) for authority in authorities)
        self.certificates[f"spiffe://{name}"] = b"".join(ders)
        entries = [jwk(key, kid, None) for kid, key in keys.items()]
        self.tokens[f"spiffe://{name}"] = json.dumps({"keys": entries}).encode()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Until the block ends."""
        server = grpc.aio.server()
        workload_pb2_grpc.add_SpiffeWorkloadAPIServicer_to_server(self, server)  # type: ignore[no-untyped-call]
        server.add_insecure_port(f"unix:{self.socket}")
        await server.start()
        try:
            yield
        finally:
            await server.stop(None)


@pytest.fixture
def agent() -> Iterator[FakeAgent]:
    folder = Path(tempfile.mkdtemp(prefix="agent-"))  # short enough for a socket's path
    yield FakeAgent(folder / "agent.sock")
    shutil.rmtree(folder)


class Changes:
    """How often it changed."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> None:
        self.count += 1


def trusting(*domains: TrustDomain, tls: Tls | None = None, clock: Callable[[], float] = lambda: 0.0) -> Trust:
    return Trust(tls, domains, Changes(), clock)


def told(trust: Trust, name: str = DOMAIN) -> tuple[list[Any], set[str]]:
    """The authorities that stand for a domain."""
    bundle = trust.bundles[name]
    return list(bundle.authorities), set(bundle.keys)


async def test_an_agent_tells_the_bundles_of_the_domains_that_are_trusted(agent: FakeAgent) -> None:
    ours, next_ours, theirs = Ca(), Ca(), Ca(OTHER)
    agent.knows(DOMAIN, ours, next_ours, k1=EC, r1=RSA)
    agent.knows(OTHER, theirs, k1=RSA)
    agent.knows("third.example", Ca("third.example"))
    trust = trusting(*(TrustDomain(name=name, workload_api=agent.socket) for name in (DOMAIN, OTHER, "gone.example")))
    async with agent.serving():
        await trust.look()
    assert set(trust.bundles) == {DOMAIN, OTHER, "gone.example"}
    assert set(told(trust)[0]) == {ours.certificate, next_ours.certificate}
    assert told(trust)[1] == {"k1", "r1"}
    assert trust.bundles[DOMAIN].keys["k1"].algorithms == {"ES256"}
    assert {"RS256", "PS256"} <= trust.bundles[OTHER].keys["k1"].algorithms
    assert told(trust, "gone.example") == ([], set())


async def test_what_an_agent_tells_anew_counts_without_a_restart(
    agent: FakeAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.trust.trust._AGENT_PERIOD", 0.05)
    old, new = Ca(), Ca()
    agent.knows(DOMAIN, old, k1=EC)
    trust = trusting(TrustDomain(name=DOMAIN, workload_api=agent.socket))
    async with agent.serving():
        keeping = asyncio.create_task(trust.keep())
        await until(lambda: DOMAIN in trust.bundles and told(trust) == ([old.certificate], {"k1"}), "it is told")
        agent.knows(DOMAIN, new, k2=EC)
        await until(lambda: told(trust) == ([new.certificate], {"k2"}), "it is told anew")
        keeping.cancel()
        await asyncio.wait([keeping])


async def test_what_an_agent_told_counts_for_an_hour_without_it(agent: FakeAgent) -> None:
    now = 0.0
    agent.knows(DOMAIN, Ca(), k1=EC)
    trust = trusting(TrustDomain(name=DOMAIN, workload_api=agent.socket), clock=lambda: now)
    async with agent.serving():
        await trust.look()
        known = trust.bundles
        agent.refuses, now = True, 3600.0
        await trust.look()
        assert trust.bundles == known
    now = 3601.0
    await trust.look()
    assert trust.bundles == {DOMAIN: Bundle()}
    agent.refuses = False
    async with agent.serving():
        await trust.look()
    assert trust.bundles == known


@pytest.mark.parametrize(
    "spoil",
    [
        lambda agent: agent.certificates.update({f"spiffe://{DOMAIN}": b"\x30\x03junk"}),
        lambda agent: agent.tokens.update({f"spiffe://{DOMAIN}": b"no JSON"}),
        lambda agent: agent.certificates.clear(),
        lambda agent: setattr(agent, "refuses", True),
    ],
    ids=["certificates", "tokens", "nothing", "refusal"],
)
async def test_an_answer_that_cannot_be_used_leaves_what_was_known(
    agent: FakeAgent, spoil: Callable[[FakeAgent], None]
) -> None:
    agent.knows(DOMAIN, Ca(), k1=EC)
    trust = trusting(TrustDomain(name=DOMAIN, workload_api=agent.socket))
    async with agent.serving():
        await trust.look()
        known, asked = trust.bundles, agent.asked
        spoil(agent)
        await trust.look()
        assert agent.asked > asked
    assert trust.bundles == known


async def test_an_agent_that_never_answered_vouches_for_nobody(agent: FakeAgent) -> None:
    trust = trusting(TrustDomain(name=DOMAIN, workload_api=agent.socket))
    await trust.look()
    assert trust.bundles == {DOMAIN: Bundle()}


async def test_a_bundle_file_is_read_when_it_changes_and_kept_when_it_is_spoilt(tmp_path: Path) -> None:
    file, first, second = tmp_path / "bundle", Ca(), Ca()
    trust = trusting(TrustDomain(name=DOMAIN, bundle=file))
    await trust.look()
    assert trust.bundles == {DOMAIN: Bundle()}
    for content, known in (
        (first.pem, ([first.certificate], set())),
        (document(x509_jwk(second.certificate), jwk(EC, "k1")), ([second.certificate], {"k1"})),
        (b"{", ([second.certificate], {"k1"})),
        (b"", ([second.certificate], {"k1"})),
        (first.pem * 20_000, ([second.certificate], {"k1"})),
        (document(), ([], set())),
    ):
        (tmp_path / "new").write_bytes(content)
        (tmp_path / "new").replace(file)
        await trust.look()
        assert told(trust) == known
    file.unlink()
    await trust.look()
    assert told(trust) == ([], set())


async def test_nothing_is_told_where_nothing_changed(tmp_path: Path) -> None:
    changes = Changes()
    certificate, key = Ca().leaf().write(tmp_path)
    trust = Trust(Tls(certificate=certificate, key=key), (), changes)
    await trust.look()
    await trust.look()
    os.utime(certificate, (1, 1))
    await trust.look()
    assert changes.count == 1


async def test_a_certificate_and_its_key_are_taken_together(tmp_path: Path) -> None:
    old, new = Ca().leaf(), Ca().leaf()
    certificate, key = old.write(tmp_path)
    trust = trusting(tls=Tls(certificate=certificate, key=key))
    for chain, private, expected in (
        (old.chain, old.key, old),
        (new.chain, old.key, old),
        (new.chain, new.key[:-40], old),
        (new.chain, _encrypted(), old),
        (b"", new.key, old),
        (new.chain, new.key, new),
    ):
        certificate.write_bytes(chain)
        key.write_bytes(private)
        await trust.look()
        assert trust.material is not None
        assert (trust.material.certificate, trust.material.key) == (expected.chain, expected.key)
        assert trust.material.authorities is None


def _encrypted() -> bytes:
    return EC.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"word"))


async def test_an_edge_without_its_certificate_is_given_nothing(tmp_path: Path) -> None:
    trust = trusting(tls=Tls(certificate=tmp_path / "none.pem", key=tmp_path / "none.key"))
    await trust.look()
    assert trust.material is None


async def test_a_private_key_is_not_written_out(tmp_path: Path) -> None:
    leaf = Ca().leaf()
    certificate, key = leaf.write(tmp_path)
    trust = trusting(tls=Tls(certificate=certificate, key=key))
    await trust.look()
    assert "PRIVATE" not in repr(trust.material)


async def test_an_edge_knows_all_authorities_and_each_domain_its_own(tmp_path: Path) -> None:
    general, ours, theirs = Ca("general"), Ca(), Ca(OTHER)
    certificate, key = Ca().leaf().write(tmp_path)
    (tmp_path / "ca.pem").write_bytes(general.pem)
    (tmp_path / "ours.pem").write_bytes(ours.pem)
    (tmp_path / "theirs.json").write_bytes(document(x509_jwk(theirs.certificate)))
    trust = trusting(
        TrustDomain(name="general.example"),
        TrustDomain(name=DOMAIN, bundle=tmp_path / "ours.pem"),
        TrustDomain(name=OTHER, bundle=tmp_path / "theirs.json"),
        tls=Tls(certificate=certificate, key=key, client_ca=tmp_path / "ca.pem"),
    )
    await trust.look()
    assert trust.material is not None
    assert trust.material.authorities == general.pem + ours.pem + theirs.pem
    each = {name: told(trust, name)[0] for name in trust.bundles}
    assert each == {"general.example": [general.certificate], DOMAIN: [ours.certificate], OTHER: [theirs.certificate]}


async def test_a_domain_without_authorities_beside_one_that_has_some_has_none(tmp_path: Path) -> None:
    (tmp_path / "ours.pem").write_bytes(Ca().pem)
    trust = trusting(TrustDomain(name=DOMAIN, bundle=tmp_path / "ours.pem"), TrustDomain(name=OTHER))
    await trust.look()
    assert told(trust, OTHER) == ([], set())


async def test_nobody_vouches_while_it_is_not_known_who_was_revoked(tmp_path: Path) -> None:
    ours = Ca()
    certificate, key = ours.leaf().write(tmp_path)
    (tmp_path / "ours.pem").write_bytes(ours.pem)
    lists = tmp_path / "crl.pem"
    domain = TrustDomain(name=DOMAIN, bundle=tmp_path / "ours.pem", crl=lists)
    trust = trusting(domain, tls=Tls(certificate=certificate, key=key))
    for content in (None, b"", b"junk", ours.pem, ours.revoking()[:-30], ours.revoking() + b"junk"):
        if content is not None:
            lists.write_bytes(content)
        await trust.look()
        assert _authorities(trust) == b""
    listed = ours.revoking(ours.leaf(SVID).certificate)
    lists.write_bytes(listed)
    await trust.look()
    assert _authorities(trust) == ours.pem + listed
    lists.write_bytes(b"spoilt")
    await trust.look()
    assert _authorities(trust) == ours.pem + listed


def _authorities(trust: Trust) -> bytes | None:
    assert trust.material is not None
    return trust.material.authorities
