"""HTTP message signatures: what a signature must be, cover and say to count, each rule broken alone."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from gateway.config import HttpSignatures
from gateway.identity import Refusal
from gateway.identity.replay import ReplayStore
from gateway.identity.signatures import Message, Signed, verify_signature
from tests.http_signer import Agent

NOW = 1_800_000_000.0
CREATED = int(NOW) - 5
BODY = b'{"amount": 100}'
AGENT = Agent(ed25519.Ed25519PrivateKey.generate())
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
AGENTS = {
    "ed25519": AGENT,
    "ecdsa-p256-sha256": Agent(ec.generate_private_key(ec.SECP256R1())),
    "ecdsa-p384-sha384": Agent(ec.generate_private_key(ec.SECP384R1())),
    "rsa-pss-sha512": Agent(RSA),
    "rsa-v1_5-sha256": Agent(RSA, alg="RS256"),
}
KEYS = {AGENT.keyid: AGENT.key}
SETTINGS = HttpSignatures()
COVERED = ('"@method"', '"@authority"', '"@path"', '"@query"', '"content-digest"', '"authorization"')
TIMES: dict[str, Any] = {"created": CREATED, "expires": CREATED + 60, "nonce": "n1", "tag": "web-bot-auth"}


def digest(body: bytes, algorithm: str = "sha-256") -> tuple[str, str]:
    made = hashlib.new(algorithm.replace("-", ""), body).digest()
    return "Content-Digest", f"{algorithm}=:{b64encode(made).decode()}:"


PAYMENT = Message(
    method="POST",
    scheme="https",
    authority="bank.example",
    path="/payments",
    query="draft=no",
    headers=(digest(BODY), ("Authorization", "Bearer t"), ("X-Trace", "1")),
    body=BODY,
)


def replay(capacity: int = 1000) -> ReplayStore:
    return ReplayStore("test", capacity, SETTINGS.max_age_seconds + 2 * SETTINGS.leeway_seconds, bytes(16))


def changed(message: Message, **changes: Any) -> Message:
    return msgspec.structs.replace(message, **changes)


def signed(message: Message = PAYMENT, components: tuple[str, ...] = COVERED, **parameters: Any) -> Message:
    return AGENT.sign(message, components, **(TIMES | parameters))


def verify(message: Message, now: float = NOW, **settings: Any) -> Signed | Refusal:
    configured = SETTINGS.model_copy(update=settings)
    return verify_signature(message, KEYS, now=now, settings=configured, replay=replay())


def refused(message: Message, because: str, now: float = NOW, **settings: Any) -> None:
    answer = verify(message, now, **settings)
    assert isinstance(answer, Refusal)
    assert answer.error == "invalid_signature"
    assert because in answer.detail


def accepted(message: Message, now: float = NOW, **settings: Any) -> Signed:
    answer = verify(message, now, **settings)
    assert isinstance(answer, Signed), answer
    return answer


def test_a_signed_request_names_its_key() -> None:
    assert accepted(signed()) == Signed(AGENT.keyid, "sig1", CREATED, CREATED + 60 + 10, COVERED, "")


@pytest.mark.parametrize("algorithm", AGENTS)
@pytest.mark.parametrize("named", [True, False])
def test_each_algorithm(algorithm: str, named: bool) -> None:
    agent = AGENTS[algorithm]
    request = agent.sign(PAYMENT, COVERED, **TIMES, alg=algorithm if named else None)
    keys = {agent.keyid: agent.key}
    answer = verify_signature(request, keys, now=NOW, settings=SETTINGS, replay=replay())
    assert isinstance(answer, Signed)


@pytest.mark.parametrize("claimed", [*AGENTS, "hmac-sha256", "EdDSA", "none", ""])
@pytest.mark.parametrize("algorithm", AGENTS)
def test_the_key_has_one_algorithm_whatever_the_signature_says(algorithm: str, claimed: str) -> None:
    agent = AGENTS[algorithm]
    request = agent.sign(PAYMENT, COVERED, **TIMES, alg=claimed)
    answer = verify_signature(request, {agent.keyid: agent.key}, now=NOW, settings=SETTINGS, replay=replay())
    assert isinstance(answer, Signed) == (claimed == algorithm)


@pytest.mark.parametrize("only", ["ES512", "PS256"])
def test_a_key_for_another_algorithm_verifies_nothing(only: str) -> None:
    agent = Agent(RSA, alg=only) if only == "PS256" else Agent(ec.generate_private_key(ec.SECP521R1()))
    member = f'({" ".join(COVERED)});keyid="{agent.keyid}";created={CREATED};expires={CREATED + 60};nonce="n"'
    headers = (("Signature-Input", f'sig1={member};tag="web-bot-auth"'), ("Signature", "sig1=:AAAA:"))
    request = changed(PAYMENT, headers=PAYMENT.headers + headers)
    answer = verify_signature(request, {agent.keyid: agent.key}, now=NOW, settings=SETTINGS, replay=replay())
    assert isinstance(answer, Refusal)
    assert "not this key's" in answer.detail


@pytest.mark.parametrize(
    "changes",
    [
        {"method": "PUT"},
        {"path": "/payments/1"},
        {"path": "/Payments"},
        {"path": "/%70ayments"},
        {"query": "draft=yes"},
        {"query": None},
        {"query": ""},
    ],
)
def test_what_is_covered_cannot_change(changes: dict[str, Any]) -> None:
    refused(changed(signed(), **changes), "not this key's")


def test_a_covered_field_cannot_change_and_another_may() -> None:
    request = signed()
    swapped = [(n, "Bearer other" if n == "Authorization" else v) for n, v in request.headers]
    refused(changed(request, headers=tuple(swapped)), "not this key's")
    refused(changed(request, headers=(*request.headers, ("authorization", "Bearer u"))), "not this key's")
    refused(changed(request, headers=request.headers[:1] + request.headers[2:]), "there is no field authorization")
    accepted(changed(request, headers=(*request.headers, ("X-Trace", "2"))))


def test_a_request_for_another_house_is_not_for_us() -> None:
    elsewhere = signed(changed(PAYMENT, authority="shop.example"))
    refused(changed(elsewhere, authority="bank.example"), "not this key's")
    accepted(signed(changed(PAYMENT, authority="BANK.example:443")))


@pytest.mark.parametrize("missing", COVERED)
def test_each_component_must_be_covered(missing: str) -> None:
    fewer = tuple(name for name in COVERED if name != missing)
    refused(signed(components=fewer), f"{missing[1:-1]} is not covered")


def test_what_a_request_does_not_have_need_not_be_covered() -> None:
    bare = changed(PAYMENT, method="GET", query=None, headers=(), body=b"")
    request = signed(bare, ('"@method"', '"@authority"', '"@path"'))
    accepted(request)
    refused(changed(request, query="admin=yes"), "@query is not covered")
    refused(changed(request, body=b"x"), "content-digest is not covered")
    refused(changed(request, headers=(*request.headers, ("authorization", "Bearer x"))), "authorization is not covered")


@pytest.mark.parametrize(
    "components",
    [
        ('"@method"', '"@target-uri"', '"content-digest"', '"authorization"'),
        ('"@method"', '"@authority"', '"@request-target"', '"content-digest"', '"authorization"'),
        ('"@method"', '"@authority"', '"@path"', '"@query"', '"content-digest";sf', '"authorization";bs'),
    ],
)
def test_what_covers_more_covers_its_parts(components: tuple[str, ...]) -> None:
    accepted(signed(components=components))


@pytest.mark.parametrize(
    ("instead", "of"),
    [
        ('"content-digest";key="sha-256"', '"content-digest"'),
        ('"@query-param";name="draft"', '"@query"'),
        ('"@scheme"', '"@authority"'),
    ],
)
def test_what_covers_a_part_does_not_cover_the_whole(instead: str, of: str) -> None:
    components = tuple(instead if name == of else name for name in COVERED)
    refused(signed(components=components), f"{of[1:-1]} is not covered")


def test_less_is_enough_where_that_is_configured_but_never_less_than_the_authority() -> None:
    accepted(signed(components=('"@authority"',)), components=())
    refused(signed(components=('"@method"',)), "@authority is not covered", components=())


@pytest.mark.parametrize(
    ("parameters", "now", "because"),
    [
        ({"created": None}, NOW, "no parameter created"),
        ({"expires": None}, NOW, "no parameter expires"),
        ({"keyid": None}, NOW, "no parameter keyid"),
        ({"keyid": "other"}, NOW, "no key 'other'"),
        ({"nonce": None}, NOW, "no nonce"),
        ({"nonce": ""}, NOW, "no nonce"),
        ({"nonce": "n" * 513}, NOW, "nonce is longer"),
        ({"tag": None}, NOW, "0 signatures with the tag"),
        ({"tag": "other"}, NOW, "0 signatures with the tag"),
        ({"created": int(NOW) + 11, "expires": int(NOW) + 60}, NOW, "created in the future"),
        ({"expires": CREATED}, NOW, "not within"),
        ({"expires": CREATED - 1}, NOW, "not within"),
        ({"expires": CREATED + 86_401}, NOW, "not within"),
        ({}, CREATED + 70, "expired"),
        ({"expires": CREATED + 86_400}, CREATED + 310, "created too long ago"),
        ({"created": -5}, NOW, "not within"),
        ({"created": "1"}, NOW, "parameter created"),
        ({"created": True}, NOW, "parameter created"),
        ({"expires": 1.5}, NOW, "parameter expires"),
        ({"nonce": 7}, NOW, "parameter nonce"),
        ({"keyid": 7}, NOW, "parameter keyid"),
        ({"alg": 7}, NOW, "parameter alg"),
        ({"kid": "x"}, NOW, "parameter kid is not known"),
    ],
)
def test_each_parameter_is_checked(parameters: dict[str, Any], now: float, because: str) -> None:
    refused(signed(**parameters), because, now)


@pytest.mark.parametrize(
    ("parameters", "now"),
    [
        ({"created": int(NOW) + 10, "expires": int(NOW) + 60}, NOW),
        ({}, CREATED + 69.9),
        ({"expires": CREATED + 86_400}, CREATED + 309.9),
        ({"nonce": "n" * 512}, NOW),
    ],
)
def test_each_bound_holds_up_to_its_end(parameters: dict[str, Any], now: float) -> None:
    accepted(signed(**parameters), now)


def test_a_nonce_counts_once_and_only_its_holder_can_use_it_up() -> None:
    store, request = replay(), signed()
    forged = changed(request, method="PUT")
    answers = [
        verify_signature(each, KEYS, now=NOW, settings=SETTINGS, replay=store)
        for each in (forged, request, request, signed(nonce="n2"))
    ]
    assert [type(answer) for answer in answers] == [Refusal, Signed, Refusal, Signed]
    assert isinstance(answers[2], Refusal)
    assert "came before" in answers[2].detail


def test_one_agent_cannot_use_up_the_nonce_of_another() -> None:
    store, other = replay(), AGENTS["ecdsa-p256-sha256"]
    keys = KEYS | {other.keyid: other.key}
    requests = (other.sign(PAYMENT, COVERED, **TIMES), signed())
    answers = [verify_signature(each, keys, now=NOW, settings=SETTINGS, replay=store) for each in requests]
    assert [type(answer) for answer in answers] == [Signed, Signed]


def test_a_full_store_refuses() -> None:
    store = replay(1)
    answers = [
        verify_signature(signed(nonce=nonce), KEYS, now=NOW, settings=SETTINGS, replay=store) for nonce in ("a", "b")
    ]
    assert [type(answer) for answer in answers] == [Signed, Refusal]


def test_a_nonce_may_be_left_out_where_that_is_configured_but_never_counts_twice() -> None:
    settings, store = SETTINGS.model_copy(update={"nonce": False}), replay()
    requests = (signed(nonce=None), signed(nonce=None), signed(), signed())
    answers = [verify_signature(each, KEYS, now=NOW, settings=settings, replay=store) for each in requests]
    assert [type(answer) for answer in answers] == [Signed, Signed, Signed, Refusal]


def with_digest(field: str, body: bytes | None = BODY) -> Message:
    headers = (("Content-Digest", field), *PAYMENT.headers[1:])
    return signed(changed(PAYMENT, headers=headers, body=body))


RIGHT = digest(BODY)[1]
RIGHT_512 = digest(BODY, "sha-512")[1]


@pytest.mark.parametrize("field", [RIGHT, RIGHT_512, f"{RIGHT}, {RIGHT_512}", f"md5=:AAAA:, {RIGHT}"])
def test_the_content_is_what_its_digest_says(field: str) -> None:
    accepted(with_digest(field))


@pytest.mark.parametrize(
    ("field", "because"),
    [
        (digest(b"other")[1], "by sha-256"),
        (f"{RIGHT}, {digest(b'other', 'sha-512')[1]}", "by sha-512"),
        ("md5=:AAAA:", "neither sha-256 nor sha-512"),
        (RIGHT.replace("sha-256", "SHA-256"), "at position"),
        ("", "neither sha-256 nor sha-512"),
        ("sha-256", "by sha-256"),
        ('sha-256="X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE="', "by sha-256"),
        (f"{RIGHT}, {RIGHT}", "stands twice"),
        ("sha-256=:AAAA", "ending ':'"),
    ],
)
def test_other_content_is_refused(field: str, because: str) -> None:
    refused(with_digest(field), because)


def test_content_that_nobody_read_is_refused_unless_that_is_configured() -> None:
    request = with_digest(RIGHT, body=None)
    refused(request, "was not read")
    accepted(request, components=("@method", "@path", "@query"))
    refused(changed(request, body=b"other"), "by sha-256", components=())


@pytest.mark.parametrize(
    ("method", "headers", "may"),
    [
        ("GET", (), False),
        ("DELETE", (), False),
        ("POST", (), True),
        ("BREW", (), True),
        ("POST", (("Content-Length", "0"),), False),
        ("GET", (("Content-Length", "1"),), True),
        ("GET", (("Content-Length", "0"), ("Content-Length", "1")), True),
        ("GET", (("Transfer-Encoding", "chunked"), ("Content-Length", "0")), True),
    ],
)
def test_content_that_is_announced_must_be_covered(method: str, headers: tuple[Any, ...], may: bool) -> None:
    unread = changed(PAYMENT, method=method, headers=headers, body=None)
    answer = verify(signed(unread, ('"@method"', '"@target-uri"')))
    assert isinstance(answer, Refusal) == may


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE", "OPTIONS", "POST"])
def test_content_that_is_there_and_was_not_read_is_refused_whatever_the_method(method: str) -> None:
    unread = changed(PAYMENT, method=method, body=None, unread=True)
    refused(signed(unread, ('"@method"', '"@target-uri"')), "content-digest is not covered")
    refused(signed(unread), "was not read")


# RFC 9530, appendix B.
HELLO = b'{"hello": "world"}\n'


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (HELLO, "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:"),
        (HELLO, "sha-512=:YMAam51Jz/jOATT6/zvHrLVgOYTGFy1d6GJiOHTohq4yP+pgk4vf2aCsyRZOtw8MjkM7iw7yZ/WkppmM44T3qg==:"),
        (b"", "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:"),
        (b'"world"}\n', "sha-256=:jjcgBDWNAtbYUXI37CVG3gRuGOAjaaDRGpIUFsdyepQ=:"),
    ],
)
def test_the_digests_of_rfc_9530(body: bytes, field: str) -> None:
    accepted(with_digest(field, body))
    refused(with_digest(field, body + b"\n"), "Content-Digest says")


@pytest.mark.parametrize(
    ("component", "because"),
    [
        ('"@method"', "stands twice"),
        ('"@status"', "a request has no @status"),
        ('"@signature-params"', "a request has no"),
        ('"@body"', "a request has no @body"),
        ('"@path";req', "takes no parameters"),
        ('"@query-param"', "wants a name"),
        ('"@query-param";name=draft', "wants a name"),
        ('"@query-param";name="draft";sf', "wants a name"),
        ('"@query-param";name="none"', "no query parameter"),
        ('"x-trace";tr', "parameter tr"),
        ('"x-trace";req', "parameter req"),
        ('"x-trace";sf=?0', "parameter sf"),
        ('"x-trace";bs="1"', "parameter bs"),
        ('"x-trace";key=a', "parameter key"),
        ('"x-trace";other', "parameter other"),
        ('"content-digest";bs;sf', "bs stands alone"),
        ('"content-digest";bs;key="sha-256"', "bs stands alone"),
        ('"x-trace";sf', "not known to be structured"),
        ('"x-trace";key="a"', "not known to be a dictionary"),
        ('"content-digest";key="none"', "has no member 'none'"),
        ('"x-none"', "no field x-none"),
        ('"X-Trace"', "no field name"),
        ('""', "no field name"),
        ('"x trace"', "no field name"),
        ("x-trace", "no string"),
        ("1", "no string"),
    ],
)
def test_a_component_that_a_request_does_not_have_is_refused(component: str, because: str) -> None:
    request = signed()
    headers = [(n, v.replace(")", f" {component})") if n == "Signature-Input" else v) for n, v in request.headers]
    refused(changed(request, headers=tuple(headers)), because)


def test_two_orders_of_parameters_are_one_component() -> None:
    twice = '"content-digest";sf;key="sha-256" "content-digest";key="sha-256";sf'
    request = signed()
    headers = [(n, v.replace(")", f" {twice})") if n == "Signature-Input" else v) for n, v in request.headers]
    refused(changed(request, headers=tuple(headers)), "stands twice")


def test_no_more_components_than_a_request_needs() -> None:
    fields = tuple((f"x-{number}", "v") for number in range(27))
    request = changed(PAYMENT, headers=PAYMENT.headers + fields)
    names = tuple(f'"{name}"' for name, _ in fields)
    accepted(signed(request, COVERED + names[:26]))
    refused(signed(request, COVERED + names), "more than 32 components")


@pytest.mark.parametrize(
    "changes",
    [
        {"method": "GET /"},
        {"method": ""},
        {"scheme": "ftp"},
        {"authority": "bank.example/"},
        {"authority": "user@bank.example"},
        {"authority": "bank.example:port"},
        {"authority": "bank.example\n"},
        {"authority": ""},
        {"path": "*"},
        {"path": "/a b"},
        {"path": "/a?b"},
        {"path": "/\xe9"},
        {"path": "/\n"},
        {"query": "a b"},
        {"query": "a#b"},
        {"query": 'a\n"@method": GET'},
    ],
)
def test_a_request_line_that_nobody_could_have_signed_is_refused(changes: dict[str, Any]) -> None:
    answer = verify(changed(signed(components=('"@method"', '"@target-uri"', *COVERED[4:])), **changes))
    assert isinstance(answer, Refusal)
    assert "not this key's" not in answer.detail


@pytest.mark.parametrize(
    ("query", "because"),
    [
        ("draft=no&draft=no", "names a parameter twice"),
        ("draft=no&%64raft=no", "names a parameter twice"),
        ("draft=no&a=%zz", "broken escape"),
        ("draft=%FF", "utf-8"),
        ("a&" * 300, "256 parameters"),
        ("a" * 16_385, "16384 characters"),
    ],
)
def test_a_query_that_readers_read_differently_has_no_parameters_to_sign(query: str, because: str) -> None:
    components = (*COVERED, '"@query-param";name="draft"')
    refused(changed(signed(components=components), query=query), because)


@pytest.mark.parametrize("value", ["a\nb", "a\r\nb", "a\rb", "a\x00b", "\xe9", "a\x7f", 'a\r\n"@method": GET'])
def test_a_field_that_could_add_a_line_is_refused(value: str) -> None:
    request = signed(components=(*COVERED, '"x-trace"'))
    headers = tuple((n, value if n == "X-Trace" else v) for n, v in request.headers)
    refused(changed(request, headers=headers), "more than printable ASCII")


def test_bytes_are_covered_as_bytes() -> None:
    latin = changed(PAYMENT, headers=(*PAYMENT.headers, ("X-Name", "caf\xe9")))
    request = signed(latin, (*COVERED, '"x-name";bs'))
    accepted(request)
    headers = tuple((n, "cafe" if n == "X-Name" else v) for n, v in request.headers)
    refused(changed(request, headers=headers), "not this key's")


def other(request: Message, name: str, value: str) -> Message:
    """With another value for a field, or without it for an empty one."""
    kept = tuple((held, text) for held, text in request.headers if held != name)
    return changed(request, headers=(*kept, (name, value)) if value else kept)


def field(request: Message, name: str) -> str:
    return next(value for held, value in request.headers if held == name)


def test_two_signatures_for_us_and_none_counts() -> None:
    twice = AGENT.sign(signed(), COVERED, "sig2", **(TIMES | {"nonce": "n2"}))
    refused(twice, "2 signatures with the tag")


def test_somebody_elses_signature_beside_ours_is_of_no_account() -> None:
    proxied = AGENT.sign(signed(), ('"@path"',), "proxy", **(TIMES | {"tag": "proxy"}))
    assert accepted(proxied).label == "sig1"
    assert accepted(AGENT.sign(changed(PAYMENT), COVERED, "a*b", **TIMES)).label == "a*b"
    untagged = other(signed(), "Signature-Input", "x=1, y, " + field(signed(), "Signature-Input"))
    assert accepted(untagged).label == "sig1"


SIGNATURE = field(signed(), "Signature")
INPUT = field(signed(), "Signature-Input")
DAMAGED = [
    ("Signature", "", "no signature sig1"),
    ("Signature", SIGNATURE.replace("sig1", "sig2"), "no signature sig1"),
    ("Signature", SIGNATURE.replace(":", '"'), "no signature sig1"),
    ("Signature", SIGNATURE + ";a", "no signature sig1"),
    ("Signature", f"{SIGNATURE}, {SIGNATURE}", "stands twice"),
    ("Signature", "sig1=::", "not this key's"),
    ("Signature", "sig1=:AAAA:", "not this key's"),
    ("Signature-Input", "", "0 signatures"),
    ("Signature-Input", f"{INPUT}, {INPUT}", "stands twice"),
    ("Signature-Input", INPUT.replace(";created", ";created=1;created"), "stands twice"),
    ("Signature-Input", INPUT.replace('"web-bot-auth"', "web-bot-auth"), "0 signatures"),
    ("Signature-Input", INPUT.replace("web-bot-auth", "Web-Bot-Auth"), "0 signatures"),
    ("Signature-Input", 'sig1="x";tag="web-bot-auth"', "0 signatures"),
    ("Signature-Input", INPUT[:-1], "at position"),
    ("Signature-Input", INPUT + ",", "at position"),
    ("Signature-Input", f"{INPUT}, x={'a' * 16_384}", "more than 16384"),
    ("Signature-Input", INPUT.replace("n1", "\xe9"), "ascii"),
]


@pytest.mark.parametrize(("name", "value", "because"), DAMAGED, ids=range(len(DAMAGED)))
def test_a_damaged_signature_is_refused(name: str, value: str, because: str) -> None:
    refused(other(signed(), name, value), because)


def test_a_field_may_be_as_long_as_its_bound() -> None:
    rest = ", x=" + "a" * (16_384 - len(INPUT) - 4)
    accepted(other(signed(), "Signature-Input", INPUT + rest))
    refused(other(signed(), "Signature-Input", INPUT + rest + "a"), "more than 16384")


def test_a_query_may_be_as_long_as_its_bounds() -> None:
    components = (*COVERED, '"@query-param";name="draft"')
    for filler in ("&a" + "=" * 16_374, "".join(f"&a{number}" for number in range(256))):
        request = changed(PAYMENT, query="draft=no" + filler)
        accepted(signed(request, components))


def test_fields_may_come_in_several_lines() -> None:
    request = AGENT.sign(signed(), ('"@path"',), "proxy", **(TIMES | {"tag": "proxy"}))
    assert [name for name, _ in request.headers].count("Signature") == 2
    accepted(request)


AGENT_ORIGIN = "https://agent.example"


def named(line: str, *covered: str) -> Message:
    headers = (*PAYMENT.headers, ("Signature-Agent", line))
    return signed(changed(PAYMENT, headers=headers), (*COVERED, *covered))


@pytest.mark.parametrize(
    ("line", "covered"),
    [
        (f'sig1="{AGENT_ORIGIN}"', '"signature-agent";key="sig1"'),
        (f'a="https://x.example", b="{AGENT_ORIGIN}";type=directory', '"signature-agent";key="b"'),
        (f'"{AGENT_ORIGIN}/"', '"signature-agent"'),
    ],
)
def test_the_agent_that_is_covered_is_named(line: str, covered: str) -> None:
    assert accepted(named(line, covered)).agent == AGENT_ORIGIN


@pytest.mark.parametrize(
    ("line", "covered", "because"),
    [
        (f'sig1="{AGENT_ORIGIN}"', (), "not covered once"),
        (f'a="{AGENT_ORIGIN}", b="x"', ('"signature-agent";key="a"', '"signature-agent";key="b"'), "not covered once"),
        (f'sig1="{AGENT_ORIGIN}"', ('"signature-agent"',), "at position"),
        ("sig1=https://agent.example", ('"signature-agent";key="sig1"',), "names no directory"),
        ('sig1=("x")', ('"signature-agent";key="sig1"',), "names no directory"),
        ('sig1="https://agent.example/jwks";type=jwks_uri', ('"signature-agent";key="sig1"',), "names no directory"),
        ("1", ('"signature-agent"',), "names no directory"),
        ('"\xe9"', ('"signature-agent";bs',), "ascii"),
    ],
)
def test_an_agent_that_is_not_vouched_for_is_refused(line: str, covered: tuple[str, ...], because: str) -> None:
    refused(named(line, *covered), because)


def test_a_member_that_is_not_there_is_no_agent() -> None:
    request = named(f'sig1="{AGENT_ORIGIN}"', '"signature-agent";key="sig1"')
    refused(other(request, "Signature-Agent", f'sig2="{AGENT_ORIGIN}"'), "names no directory")
    refused(other(request, "Signature-Agent", 'sig1="https://evil.example"'), "not this key's")
