"""Against a real OPA over TLS: both sides prove who they are, by certificate or token; one that fails is left alone."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from cryptography import x509
from prometheus_client import REGISTRY

from policy import AccessRequest, Bundle, Decision, OpaServer, OpaTls, Pdp, Principal, compile_bundle, opa_pdp
from policy.engines.opa import OpaEngine
from tests.authority import Authority
from tests.policy.real_opa import RealOpa, opa_binary

BUNDLE = Bundle({"a.rego": 'package portcullis.access\n\ndecision := {"effect": "allow"} if input.action == "GET"'}, {})
TOKEN = "correct-horse-battery-staple"
AUTHORIZATION = f"""package system.authz

default allow := false

allow if input.identity == "{TOKEN}"
"""
LOCAL = x509.IPAddress(IPv4Address("127.0.0.1"))


async def ask(server: OpaServer) -> Decision:
    pdp = opa_pdp(BUNDLE, server)
    try:
        return await pdp.ask(request())
    finally:
        await pdp.aclose()


def request(action: str = "GET") -> AccessRequest:
    who = Principal(id="person:alice", kind="person", issuer="bank")
    return AccessRequest(principal=who, action=action, service="s", path="/", time=1.0)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "authority")


@pytest.fixture
async def opa(authority: Authority) -> AsyncIterator[RealOpa]:
    """One that asks for a certificate."""
    certificate, key = authority.issue("opa", LOCAL)
    ours = ssl.create_default_context(cafile=str(authority.certificate))
    ours.load_cert_chain(*authority.issue("prober", x509.DNSName("prober")))
    files = (f"--tls-cert-file={certificate}", f"--tls-private-key-file={key}")
    asks = (f"--tls-ca-cert-file={authority.certificate}", "--authentication=tls")
    real = RealOpa(opa_binary(), *files, *asks, trust=ours)
    await real.start()
    yield real
    await real.kill()


async def test_both_sides_prove_themselves(opa: RealOpa, authority: Authority) -> None:
    certificate, key = authority.issue("gateway", x509.DNSName("gateway"))
    known = OpaTls(authority.certificate, certificate, key)
    assert (await ask(OpaServer(port=opa.port, tls=known, timeout=10))).allowed


async def test_without_a_certificate_of_ours_it_does_not_answer(opa: RealOpa, authority: Authority) -> None:
    decision = await ask(OpaServer(port=opa.port, tls=OpaTls(authority.certificate), timeout=10))
    assert decision.reasons == ("policy_unavailable",)


async def test_one_that_nobody_vouches_for_is_not_asked(opa: RealOpa, authority: Authority, tmp_path: Path) -> None:
    certificate, key = authority.issue("gateway", x509.DNSName("gateway"))
    (tmp_path / "other").mkdir()
    other = Authority(tmp_path / "other", "other")
    for ca in (other.certificate, None):
        server = OpaServer(port=opa.port, tls=OpaTls(ca, certificate, key), timeout=10)
        assert (await ask(server)).reasons == ("policy_unavailable",)


async def test_one_that_has_another_name_is_not_asked(opa: RealOpa, authority: Authority) -> None:
    certificate, key = authority.issue("gateway", x509.DNSName("gateway"))
    known = OpaTls(authority.certificate, certificate, key)
    assert (await ask(OpaServer(host="localhost", port=opa.port, tls=known, timeout=10))).reasons == (
        "policy_unavailable",
    )


def test_files_that_cannot_be_used_are_told_before_anybody_is_asked(authority: Authority, tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("")
    with pytest.raises(OSError, match="No such file"):
        opa_pdp(BUNDLE, OpaServer(tls=OpaTls(tmp_path / "none.pem")))
    with pytest.raises(OSError, match="PEM"):
        opa_pdp(BUNDLE, OpaServer(tls=OpaTls(authority.certificate, tmp_path / "empty.pem", tmp_path / "empty.pem")))


async def test_a_token_is_shown(tmp_path: Path) -> None:
    (tmp_path / "authz.rego").write_text(AUTHORIZATION)
    real = RealOpa(opa_binary(), "--authentication=token", "--authorization=basic")
    await real.start(tmp_path / "authz.rego")
    try:
        assert (await ask(OpaServer(port=real.port, token=TOKEN, timeout=10))).allowed
        assert (await ask(OpaServer(port=real.port, timeout=10))).reasons == ("policy_unavailable",)
        assert (await ask(OpaServer(port=real.port, token="other", timeout=10))).reasons == ("policy_unavailable",)
    finally:
        await real.kill()


def counted(name: str) -> float:
    return REGISTRY.get_sample_value(name) or 0.0


async def test_one_that_fails_is_left_alone_and_then_tried_again() -> None:
    real, now = RealOpa(opa_binary()), [100.0]
    server = OpaServer(port=real.port, timeout=10, failures=3, pause=30)
    engine = OpaEngine(compile_bundle(BUNDLE), server, monotonic=lambda: now[0])
    pdp = Pdp(engine)
    before = counted("portcullis_policy_opa_not_asked_total")
    try:
        for _ in range(5):
            assert (await pdp.ask(request())).reasons == ("policy_unavailable",)
        assert counted("portcullis_policy_opa_not_asked_total") == before + 2
        assert counted("portcullis_policy_opa_circuit_open") == 1
        await real.start()
        assert (await pdp.ask(request())).reasons == ("policy_unavailable",)
        now[0] += 30
        assert (await pdp.ask(request())).allowed
        assert counted("portcullis_policy_opa_circuit_open") == 0
        assert (await pdp.ask(request("POST"))).reasons == ("no_rule",)
    finally:
        await pdp.aclose()
        await real.kill()


async def test_a_question_that_policy_cannot_judge_does_not_make_opa_go_away() -> None:
    rule = 'decision := {"effect": "allow"} if input.action\n\ndecision := {"effect": "deny"} if input.action == "POST"'
    real = RealOpa(opa_binary())
    await real.start()
    pdp = opa_pdp(
        Bundle({"a.rego": f"package portcullis.access\n\n{rule}"}, {}),
        OpaServer(port=real.port, timeout=10, failures=1, pause=60),
    )
    try:
        for _ in range(3):
            assert (await pdp.ask(request("POST"))).reasons == ("policy_error",)
        assert (await pdp.ask(request("GET"))).allowed
    finally:
        await pdp.aclose()
        await real.kill()
