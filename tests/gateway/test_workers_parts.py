"""What goes to judges comes out there as what it was: keys, certificates, bundles, counts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from gateway.config import Config, GatewayProcesses, Route, Service
from gateway.configuration import ConfigurationError, parse
from gateway.edge import resources
from gateway.edge.snapshot import LISTENER
from gateway.identity import KeySet
from gateway.identity.jwk import public_key
from gateway.identity.spiffe import Bundle, Revoked
from gateway.transactions import KeyRing
from gateway.workers import Count, Hello, Prepared, Together, counts_of, said
from gateway.workers.operation import BadOperation, Ring, read
from gateway.workers.wire import bundle_in, bundle_out, keys_in, keys_out, ring_in, ring_out
from gateway.workers.words import BadWord, Words
from policy import packed, read_bundle, unpacked
from tests.authority import Authority
from tests.gateway.issuer_rig import new_key, public
from tests.gateway.test_dpop import public as jwk


def test_keys_verify_the_same_there() -> None:
    keys = [ec.generate_private_key(curve) for curve in (ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1())]
    more: list[Any] = [ed25519.Ed25519PrivateKey.generate(), rsa.generate_private_key(65537, 2048)]
    twice = [public("twice", new_key()), public("twice", new_key())]  # which of them is meant, nobody can say
    document = {"keys": [{**jwk(key), "kid": f"k{number}"} for number, key in enumerate([*keys, *more])] + twice}
    here = KeySet.parse(document)
    there = keys_in(keys_out(here.all))
    assert there == here
    assert there.key("twice", "ES256") is None
    signature = more[0].sign(b"message")
    known = there.key("k3", "EdDSA")
    assert known is not None
    assert known.verifies("EdDSA", b"message", signature)
    assert keys_in((), "issuer unreachable").missing == "issuer unreachable"


def test_a_trust_bundle_is_the_same_there(tmp_path: Path) -> None:
    authority = Authority(tmp_path, "authority")
    certificate = x509.load_pem_x509_certificate(authority.certificate.read_bytes())
    issuer = certificate.subject.public_bytes()
    revoked = Revoked(b"the lists", frozenset({(issuer, 1), (issuer, 2**159 + 1), (b"another", 255)}))
    key = public_key(public("j1", new_key()))
    assert key is not None
    here = Bundle((certificate,), {"j1": key}, revoked)
    there = bundle_in(bundle_out(here))
    assert (there.authorities, there.revoked.certificates) == (here.authorities, revoked.certificates)
    assert there.keys["j1"].thumbprint == key.thumbprint


def test_a_ring_signs_the_same_there_and_shows_no_key() -> None:
    ring = KeyRing.first(new_key, 5.0)
    told = ring_out(ring)
    assert ring_in(told).jwks() == ring.jwks()
    assert [key.signs_from for key in ring_in(told).keys] == [5.0]
    assert "der" not in repr(Ring(told))


def test_a_bundle_makes_the_same_revision_there(tmp_path: Path) -> None:
    for name, text in (("data.json", '{"limit": 1.50}'), ("data.yaml", "limit: 1.50\n")):
        (tmp_path / name).write_text(text)
        here = read_bundle((), tmp_path / name)
        there = unpacked(packed(here))
        assert (there.revision, there.sources, there.data) == (here.revision, here.sources, here.data)
    bare = read_bundle()
    assert unpacked(packed(bare)).revision == bare.revision


def test_words_come_out_however_they_are_cut() -> None:
    stream = said(Hello("judge", 3)) + said(Prepared("abc"))
    words = Words()
    assert [word for byte in stream for word in words.feed(bytes([byte]))] == [Hello("judge", 3), Prepared("abc")]
    for nonsense in (b"\xff\xff\xff\xff", b"\x00\x00\x00\x01\xc1"):
        with pytest.raises(BadWord):
            list(Words().feed(nonsense))


@pytest.mark.parametrize("body", [b"", b"\xc1", b"\x91\xa7Nothing", b"\x92\xa8Activate\x01"])
def test_what_is_no_operation_is_refused(body: bytes) -> None:
    with pytest.raises(BadOperation):
        read(body)


def test_counts_of_judges_are_added_and_stay_when_a_judge_ends() -> None:
    own, judge = CollectorRegistry(), CollectorRegistry()
    for registry, number in ((own, 1), (judge, 10)):
        counter = Counter("portcullis_asked_total", "Asked", ["who"], registry=registry)
        counter.labels("both").inc(number)
        Gauge("portcullis_standing", "Standing", registry=registry).set(number)
        Histogram("portcullis_seconds", "Seconds", buckets=(1, 5), registry=registry).observe(2)
        Counter("python_things_total", "Not ours", registry=registry).inc(number)
    counts = (*counts_of(judge), Count("portcullis_asked", "portcullis_asked_total", (("who", "judge"),), 3.0))
    together = Together(own)
    together.counted("first", counts)
    text = generate_latest(together).decode()
    for line in (
        'portcullis_asked_total{who="both"} 11.0',
        'portcullis_asked_total{who="judge"} 3.0',
        "portcullis_standing 1.0",
        'portcullis_seconds_bucket{le="5.0"} 2.0',
        "portcullis_seconds_sum 4.0",
        "python_things_total 1.0",
    ):
        assert f"\n{line}\n" in text
    together.ended("first")
    together.counted("second", counts)
    assert 'portcullis_asked_total{who="both"} 21.0' in generate_latest(together).decode()


BANK = Config(
    services={"accounts": Service(address="127.0.0.1", port=8080)}, routes=(Route(prefix="/", service="accounts"),)
)


def test_the_edge_asks_every_worker() -> None:
    several = BANK.model_copy(update={"gateway": GatewayProcesses(workers=3)})
    listeners = [resources(config).of(LISTENER)["edge"] for config in (BANK, several)]
    assert [b"judges 1\n" in listeners[0], b"judges 3\n" in listeners[1]] == [True, True]


def test_a_judge_reads_the_configuration_without_its_secrets() -> None:
    assert Config.model_validate_json(BANK.model_dump_json()) == BANK
    issuer = {
        "issuer": "https://i",
        "audience": "bank",
        "introspection": {"client_id": "c", "client_secret": "hunter2"},
    }
    told = Config.model_validate(BANK.model_dump() | {"identity": {"issuers": [issuer]}})
    assert "hunter2" not in told.model_dump_json()


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("gateway: {workers: 0}", "gateway.workers"),
        ("gateway: {workers: 65}", "gateway.workers"),
        ("gateway: {workers: yes}", "gateway.workers"),
        ("gateway: {workers: 2}\npolicy: {engine: opa}", "gateway.workers"),
    ],
)
def test_workers_that_cannot_be(line: str, problem: str) -> None:
    file = "services: {a: {address: localhost, port: 1}}\nroutes: [{prefix: /, service: a}]\n"
    with pytest.raises(ConfigurationError, match=problem):
        parse(f"{file}{line}\n".encode(), "file", {})
