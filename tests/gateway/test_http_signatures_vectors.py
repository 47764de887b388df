"""The examples of RFC 9421 and of the Web Bot Auth drafts: component values, signature bases and signatures."""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64decode
from typing import Any

import msgspec
import pytest

from gateway.config import HttpSignatures
from gateway.identity.jwk import PublicKey, public_key
from gateway.identity.signatures import Message, Presented, Signed, presented, signature_base, verify_signature
from gateway.identity.signatures.algorithms import algorithm_of, verifies
from gateway.identity.signatures.component import component
from tests.http_signer import items_of


def key(**entry: Any) -> PublicKey:
    parsed = public_key(entry)
    assert parsed is not None
    return parsed


# Appendix B.1.
RSA_PSS = key(
    kty="RSA",
    e="AQAB",
    n="r4tmm3r20Wd_PbqvP1s2-QEtvpuRaV8Yq40gjUR8y2Rjxa6dpG2GXHbPfvMs8ct-Lh1GH45x28Rw3Ry53mm-oAXjyQ86OnDkZ5N8lYbggD4O3w6M6"
    "pAvLkhk95AndTrifbIFPNU8PPMO7OyrFAHqgDsznjPFmTOtCEcN2Z1FpWgchwuYLPL-Wokqltd11nqqzi-bJ9cvSKADYdUAAN5WUtzdpiy6LbTgSxP7"
    "ociU4Tn0g5I6aDZJ7A8Lzo0KSyZYoA485mqcO0GVAdVw9lq4aOT9v6d-nb4bnNkQVklLQ3fVAvJm-xdDOp9LCNCN48V2pnDOkFV6-U9nV5oyc6XI2w",
)
P256 = key(
    kty="EC",
    crv="P-256",
    x="qIVYZVLCrPZHGHjP17CTW0_-D9Lfw0EkjqF7xB4FivA",
    y="Mc4nN9LTDOBhfoUeg8Ye9WedFRhnZXZJA12Qp0zZ6F0",
)
ED25519 = key(kty="OKP", crv="Ed25519", x="JrQLj5P_89iXES9-vFgrIy29clF9CC_oPPsw3c5D0bs")
SECRET = b64decode("uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ==")

DIGEST = "sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:"
REQUEST = Message(
    method="POST",
    scheme="https",
    authority="example.com",
    path="/foo",
    query="param=Value&Pet=dog",
    headers=(
        ("Host", "example.com"),
        ("Date", "Tue, 20 Apr 2021 02:07:55 GMT"),
        ("Content-Type", "application/json"),
        ("Content-Digest", DIGEST),
        ("Content-Length", "18"),
    ),
    body=b'{"hello": "world"}',
)
CLIENT_CERT = (
    ":MIIBqDCCAU6gAwIBAgIBBzAKBggqhkjOPQQDAjA6MRswGQYDVQQKDBJMZXQncyBBdXRoZW50aWNhdGUxGzAZBgNVBAMMEkxBIEludGVybWVkaWF0ZS"
    "BDQTAeFw0yMDAxMTQyMjU1MzNaFw0yMTAxMjMyMjU1MzNaMA0xCzAJBgNVBAMMAkJDMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE8YnXXfaUgmnMtO"
    "XU/IncWalRhebrXmckC8vdgJ1p5Be5F/3YC8OthxM4+k1M6aEAEFcGzkJiNy6J84y7uzo9M6NyMHAwCQYDVR0TBAIwADAfBgNVHSMEGDAWgBRm3WjLa3"
    "8lbEYCuiCPct0ZaSED2DAOBgNVHQ8BAf8EBAMCBsAwEwYDVR0lBAwwCgYIKwYBBQUHAwIwHQYDVR0RAQH/BBMwEYEPYmRjQGV4YW1wbGUuY29tMAoGCC"
    "qGSM49BAMCA0gAMEUCIBHda/r1vaL6G3VliL4/Di6YK0Q6bMjeSkC3dFCOOB8TAiEAx/kHSB4urmiZ0NX5r5XarmPk0wmuydBVoU4hBVZ1yhk=:"
)
INTERNAL = Message(
    method="POST",
    scheme="https",
    authority="service.internal.example",
    path="/foo",
    query="param=Value&Pet=dog",
    headers=(("Client-Cert", CLIENT_CERT),),
)

MINIMAL = '();created=1618884473;keyid="test-key-rsa-pss";nonce="b3k2pp5k7z-50gnwp.yemd"'
SELECTIVE = (
    '("@authority" "content-digest" "@query-param";name="Pet")'
    ';created=1618884473;keyid="test-key-rsa-pss";tag="header-example"'
)
FULL = (
    '("date" "@method" "@path" "@query" "@authority" "content-type" "content-digest" "content-length")'
    ';created=1618884473;keyid="test-key-rsa-pss"'
)
SHARED = '("date" "@authority" "content-type");created=1618884473;keyid="test-shared-secret"'
EDWARDS = (
    '("date" "@method" "@path" "@authority" "content-type" "content-length")'
    ';created=1618884473;keyid="test-key-ed25519"'
)
PROXIED = '("@path" "@query" "@method" "@authority" "client-cert");created=1618884473;keyid="test-key-ecc-p256"'


def base_of(message: Message, member: str) -> bytes:
    return signature_base(message, map(component, items_of(member)), member)


def lines(message: Message, *components: str) -> list[str]:
    """The lines of these components in the signature base."""
    return base_of(message, f"({' '.join(components)})").decode().split("\n")[:-1]


def value(message: Message, written: str) -> str:
    line = lines(message, written)[0]
    assert line.startswith(f"{written}: ")
    return line.removeprefix(f"{written}: ")


@pytest.mark.parametrize(
    ("message", "member", "signer", "signature"),
    [
        pytest.param(
            REQUEST,
            MINIMAL,
            RSA_PSS,
            "d2pmTvmbncD3xQm8E9ZV2828BjQWGgiwAaw5bAkgibUopemLJcWDy/lkbbHAve4cRAtx31Iq786U7it++wgGxbtRxf8Udx7zFZsckzXaJMkA7Ch"
            "G52eSkFxykJeNqsrWH5S+oxNFlD4dzVuwe8DhTSja8xxbR/Z2cOGdCbzR72rgFWhzx2VjBqJzsPLMIQKhO4DGezXehhWwE56YCE+O6c0mKZsfxV"
            "rogUvA4HELjVKWmAvtl6UnCh8jYzuVG5WSb/QEVPnP5TmcAnLH1g+s++v6d4s8m0gCw1fV5/SITLq9mhho8K3+7EPYTU8IU1bLhdxO5Nyt8C8ss"
            "inQ98Xw9Q==",
            id="B.2.1",
        ),
        pytest.param(
            REQUEST,
            SELECTIVE,
            RSA_PSS,
            "LjbtqUbfmvjj5C5kr1Ugj4PmLYvx9wVjZvD9GsTT4F7GrcQEdJzgI9qHxICagShLRiLMlAJjtq6N4CDfKtjvuJyE5qH7KT8UCMkSowOB4+ECxCm"
            "T8rtAmj/0PIXxi0A0nxKyB09RNrCQibbUjsLS/2YyFYXEu4TRJQzRw1rLEuEfY17SARYhpTlaqwZVtR8NV7+4UKkjqpcAoFqWFQh62s7Cl+H2fj"
            "BSpqfZUJcsIk4N6wiKYd4je2U/lankenQ99PZfB4jY3I5rSV2DSBVkSFsURIjYErOs0tFTQosMTAoxk//0RoKUqiYY8Bh0aaUEb0rQl3/XaVe4b"
            "XTugEjHSw==",
            id="B.2.2",
        ),
        pytest.param(
            REQUEST,
            FULL,
            RSA_PSS,
            "bbN8oArOxYoyylQQUU6QYwrTuaxLwjAC9fbY2F6SVWvh0yBiMIRGOnMYwZ/5MR6fb0Kh1rIRASVxFkeGt683+qRpRRU5p2voTp768ZrCUb38K0f"
            "UxN0O0iC59DzYx8DFll5GmydPxSmme9v6ULbMFkl+V5B1TP/yPViV7KsLNmvKiLJH1pFkh/aYA2HXXZzNBXmIkoQoLd7YfW91kE9o/CCoC1xMy7"
            "JA1ipwvKvfrs65ldmlu9bpG6A9BmzhuzF8Eim5f8ui9eH8LZH896+QIF61ka39VBrohr9iyMUJpvRX2Zbhl5ZJzSRxpJyoEZAFL2FUo5fTIztsD"
            "ZKEgM4cUA==",
            id="B.2.3",
        ),
        pytest.param(
            REQUEST,
            EDWARDS,
            ED25519,
            "wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw==",
            id="B.2.6",
        ),
        pytest.param(
            INTERNAL,
            PROXIED,
            P256,
            "xVMHVpawaAC/0SbHrKRs9i8I3eOs5RtTMGCWXm/9nvZzoHsIg6Mce9315T6xoklyy0yzhD9ah4JHRwMLOgmizw==",
            id="B.3",
        ),
    ],
)
def test_the_signed_requests_of_appendix_b(message: Message, member: str, signer: PublicKey, signature: str) -> None:
    base, made = base_of(message, member), b64decode(signature)
    assert verifies(signer, base, made)
    assert not verifies(signer, base + b" ", made)
    assert not verifies(signer, base, made[:-1])
    assert not verifies(signer, base, bytes(len(made)))


def test_the_signed_response_of_appendix_b() -> None:
    base = (
        b'"@status": 200\n"content-type": application/json\n'
        b'"content-digest": sha-512=:mEWXIS7MaLRuGgxOBdODa3xqM1XdEvxoYhvlCFJ41QJgJc4GTsPp29l5oGX69wWdXymyU0rjJuahq4l5'
        b'aGgfLQ==:\n"content-length": 23\n'
        b'"@signature-params": ("@status" "content-type" "content-digest" "content-length")'
        b';created=1618884473;keyid="test-key-ecc-p256"'
    )
    signature = b64decode("wNmSUAhwb5LxtOtOpNa6W5xj067m5hFrj0XQ4fvpaCLx0NKocgPquLgyahnzDnDAUy5eCdlYUEkLIj+32oiasw==")
    assert verifies(P256, base, signature)
    assert not verifies(P256, base[:-1], signature)


def test_the_base_of_b_2_5_whose_algorithm_is_symmetric_and_not_for_us() -> None:
    digest = hmac.digest(SECRET, base_of(REQUEST, SHARED), hashlib.sha256)
    assert digest == b64decode("pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8=")


TRANSFORM = '("@method" "@path" "@authority" "accept");created=1618884473;keyid="test-key-ed25519"'
TRANSFORMED = b64decode("ZT1kooQsEHpZ0I1IjCqtQppOmIqlJPeo7DHR3SoMn0s5JZ1eRGS0A+vyYP9t/LXlh5QMFFQ6cpLt2m0pmj3NDA==")
DEMO = Message(
    method="GET",
    scheme="https",
    authority="example.org",
    path="/demo",
    query="name1=Value1&Name2=value2",
    headers=(("Date", "Fri, 15 Jul 2022 14:24:55 GMT"), ("Accept", "application/json"), ("Accept", "*/*")),
)


@pytest.mark.parametrize(
    ("changes", "holds"),
    [
        ({}, True),
        ({"query": "name1=Value1&Name2=value2&param=added"}, True),
        ({"headers": (*DEMO.headers, ("Accept-Language", "en-US,en;q=0.5"))}, True),
        ({"headers": (("Referer", "https://developer.example.org/demo"), ("Accept", "application/json, */*"))}, True),
        ({"headers": DEMO.headers[1:] + DEMO.headers[:1]}, True),
        ({"method": "POST", "authority": "example.com"}, False),
        ({"method": "POST"}, False),
        ({"authority": "example.com"}, False),
        ({"headers": (DEMO.headers[0], DEMO.headers[2], DEMO.headers[1])}, False),
    ],
)
def test_the_transformations_of_appendix_b_4(changes: dict[str, Any], holds: bool) -> None:
    assert verifies(ED25519, base_of(msgspec.structs.replace(DEMO, **changes), TRANSFORM), TRANSFORMED) is holds


def test_the_base_of_section_2_5() -> None:
    member = (
        '("@method" "@authority" "@path" "content-digest" "content-length" "content-type")'
        ';created=1618884473;keyid="test-key-rsa-pss"'
    )
    assert base_of(REQUEST, member).decode() == "\n".join(
        [
            '"@method": POST',
            '"@authority": example.com',
            '"@path": /foo',
            f'"content-digest": {DIGEST}',
            '"content-length": 18',
            '"content-type": application/json',
            f'"@signature-params": {member}',
        ]
    )


FIELDS = Message(
    method="GET",
    scheme="https",
    authority="www.example.com",
    path="/",
    headers=(
        ("Host", "www.example.com"),
        ("Date", "Tue, 20 Apr 2021 02:07:56 GMT"),
        ("X-OWS-Header", "   Leading and trailing whitespace.   "),
        ("X-Obs-Fold-Header", "Obsolete\r\n    line folding."),
        ("Cache-Control", "max-age=60"),
        ("Cache-Control", "    must-revalidate"),
        ("Example-Dict", "  a=1,    b=2;x=1;y=2,   c=(a   b   c)"),
        ("X-Empty-Header", ""),
        ("Priority", "  a=1,    b=2;x=1;y=2,   c=(a   b   c), d"),
        ("Example-Header", "value, with, lots"),
        ("Example-Header", "of, commas"),
        ("Other-Header", "value, with, lots, of, commas"),
        ("Cache-Status", "  a;x ,   b"),
        ("Client-Cert", ":AAE=: "),
    ),
)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        # Section 2.1.
        ('"host"', "www.example.com"),
        ('"date"', "Tue, 20 Apr 2021 02:07:56 GMT"),
        ('"x-ows-header"', "Leading and trailing whitespace."),
        ('"x-obs-fold-header"', "Obsolete line folding."),
        ('"cache-control"', "max-age=60, must-revalidate"),
        ('"example-dict"', "a=1,    b=2;x=1;y=2,   c=(a   b   c)"),
        ('"x-empty-header"', ""),
        # Sections 2.1.1 and 2.1.2, under the name of a field that is known to be a dictionary.
        ('"priority";sf', "a=1, b=2;x=1;y=2, c=(a b c), d"),
        ('"priority";key="a"', "1"),
        ('"priority";key="d"', "?1"),
        ('"priority";key="b"', "2;x=1;y=2"),
        ('"priority";key="c"', "(a b c)"),
        ('"cache-status";sf', "a;x, b"),
        ('"client-cert";sf', ":AAE=:"),
        # Section 2.1.3.
        ('"example-header"', "value, with, lots, of, commas"),
        ('"other-header"', "value, with, lots, of, commas"),
        ('"example-header";bs', ":dmFsdWUsIHdpdGgsIGxvdHM=:, :b2YsIGNvbW1hcw==:"),
        ('"other-header";bs', ":dmFsdWUsIHdpdGgsIGxvdHMsIG9mLCBjb21tYXM=:"),
    ],
)
def test_the_field_values_of_section_2_1(written: str, expected: str) -> None:
    assert value(FIELDS, written) == expected


def request(target: str, method: str = "POST", scheme: str = "https", authority: str = "www.example.com") -> Message:
    path, mark, query = target.partition("?")
    return Message(method=method, scheme=scheme, authority=authority, path=path, query=query if mark else None)


MULTILINE = request(
    "/parameters?var=this%20is%20a%20big%0Amultiline%20value&bar=with+plus+whitespace&fa%C3%A7ade%22%3A%20=something"
)


@pytest.mark.parametrize(
    ("message", "written", "expected"),
    [
        # Sections 2.2.1 to 2.2.8.
        (request("/path?param=value"), '"@method"', "POST"),
        (request("/path?param=value", method="get"), '"@method"', "get"),
        (request("/path?param=value"), '"@target-uri"', "https://www.example.com/path?param=value"),
        (request("/path?param=value"), '"@authority"', "www.example.com"),
        (request("/", authority="www.EXAMPLE.com:443"), '"@authority"', "www.example.com"),
        (request("/", authority="www.example.com:"), '"@authority"', "www.example.com"),
        (request("/", authority="www.example.com:80"), '"@authority"', "www.example.com:80"),
        (request("/", authority="www.example.com:80", scheme="http"), '"@authority"', "www.example.com"),
        (request("/", authority="[2001:DB8::1]:8443"), '"@authority"', "[2001:db8::1]:8443"),
        (request("/", scheme="HTTP"), '"@scheme"', "http"),
        (request("/path?param=value"), '"@request-target"', "/path?param=value"),
        (request("/path"), '"@request-target"', "/path"),
        (request("/path?param=value"), '"@path"', "/path"),
        (request(""), '"@path"', "/"),
        (request("/path?param=value&foo=bar&baz=bat%2Dman"), '"@query"', "?param=value&foo=bar&baz=bat%2Dman"),
        (request("/path?queryString"), '"@query"', "?queryString"),
        (request("/path"), '"@query"', "?"),
        (request("/path?param=value&foo=bar&baz=batman&qux="), '"@query-param";name="baz"', "batman"),
        (request("/path?param=value&foo=bar&baz=batman&qux="), '"@query-param";name="qux"', ""),
        (request("/path?param=value&foo=bar&baz=batman&qux="), '"@query-param";name="param"', "value"),
        (MULTILINE, '"@query-param";name="var"', "this%20is%20a%20big%0Amultiline%20value"),
        (MULTILINE, '"@query-param";name="bar"', "with%20plus%20whitespace"),
        (MULTILINE, '"@query-param";name="fa%C3%A7ade%22%3A%20"', "something"),
        (request("/?a=~!'()*-._"), '"@query-param";name="a"', "%7E%21%27%28%29*-._"),
    ],
)
def test_the_derived_values_of_section_2_2(message: Message, written: str, expected: str) -> None:
    assert value(message, written) == expected


BOT = "https://signature-agent.test"
BOT_KEY = "poqkLGiymh_W0uP6PZFw-dvez3QJT5SolqXBCW38r0U"


def bot(agent: str, member: str, signature: str) -> Message:
    """A request of the Web Bot Auth drafts."""
    headers = [("Signature-Input", member), ("Signature", signature)] + ([("Signature-Agent", agent)] if agent else [])
    return Message(method="GET", scheme="https", authority="example.com", path="/", headers=tuple(headers))


ALONE = bot(
    "",
    'sig1=("@authority");created=1735689600;keyid="poqkLGiymh_W0uP6PZFw-dvez3QJT5SolqXBCW38r0U";alg="ed25519"'
    ';expires=4889289600;nonce="g0iqFa9e1ffijlyOScDkXpfSmTbYpRNSGPJrQ1It20ahwgzB3jOUcdgLgFxUg7RMtW4V8IILaKKtA+YuSyIgJQ=="'
    ';tag="web-bot-auth"',
    "sig1=:FFASViSdcgsyaqqYiCnkHreeZzbNKcTzDvZC5uVlP/dn9IbWj8j0o4wKFTH3rBnUiSUBduwm1Gp5VlIPCp01Ag==:",
)
NAMED = bot(
    f'agent2="{BOT}"',
    'sig2=("@authority" "signature-agent";key="agent2");created=1735689600'
    ';keyid="poqkLGiymh_W0uP6PZFw-dvez3QJT5SolqXBCW38r0U";alg="ed25519";expires=4889289600'
    ';nonce="n9p433xm+NJ3ph3upfBIGmsuwHw387YV7Q/F+6BSpGCVjYCqQw6rznNA8PVVLySrAWsv0hQtFioQb6E1YsauiA=="'
    ';tag="web-bot-auth"',
    "sig2=:RdNFx5Bj6au3YgAMQL/RzmUlZE8QZLIaXGRpw985hWnwPfMxT228NMk6ehRS1PSl4e8PhbNZACSanGdhEwYCCg==:",
)
BARE = bot(
    f'"{BOT}"',
    'sig2=("@authority" "signature-agent");created=1735689600;keyid="poqkLGiymh_W0uP6PZFw-dvez3QJT5SolqXBCW38r0U"'
    ';alg="ed25519";expires=1735693200'
    ';nonce="e8N7S2MFd/qrd6T2R3tdfAuuANngKI7LFtKYI/vowzk4lAZYadIX6wW25MwG7DCT9RUKAJ0qVkU0mEeLElW1qg=="'
    ';tag="web-bot-auth"',
    "sig2=:jdq0SqOwHdyHr9+r5jw3iYZH6aNGKijYp/EstF4RQTQdi5N5YYKrD+mCT1HA1nZDsi6nJKuHxUi/5Syp3rLWBA==:",
)


def test_the_thumbprint_of_the_key() -> None:
    assert ED25519.thumbprint == BOT_KEY
    assert [algorithm_of(each) for each in (ED25519, P256, RSA_PSS)] == [
        "ed25519",
        "ecdsa-p256-sha256",
        "rsa-pss-sha512",
    ]


@pytest.mark.parametrize(("message", "agent"), [(ALONE, ""), (NAMED, BOT), (BARE, BOT)])
def test_the_signatures_of_the_web_bot_auth_drafts(message: Message, agent: str) -> None:
    claim = presented(message, "web-bot-auth")
    assert isinstance(claim, Presented)
    assert (claim.keyid, claim.agent) == (BOT_KEY, agent)
    assert verifies(ED25519, signature_base(message, claim.components, claim.parameters), claim.signature)


class Never:
    """Takes everything for new."""

    def first(self, key: bytes, until: float, now: float) -> bool:
        return True


def test_an_agent_of_the_drafts_is_let_in_where_that_is_configured() -> None:
    settings = HttpSignatures(components=())
    answer = verify_signature(BARE, {BOT_KEY: ED25519}, now=1735689700.0, settings=settings, replay=Never())
    assert isinstance(answer, Signed)
    assert (answer.keyid, answer.agent, answer.components) == (BOT_KEY, BOT, ('"@authority"', '"signature-agent"'))
