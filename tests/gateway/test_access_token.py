"""Access tokens: the example of RFC 9068, what issuers send, and claims that do not hold."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.config import ClaimNames
from gateway.identity import KeySet
from tests.gateway.token_rig import EC, ED, ISSUER, JWK, NOW, RSA, claims, principal, refused, signed, trust


def test_the_example_of_rfc_9068() -> None:
    said = {
        "iss": "https://authorization-server.example.com/",
        "sub": "5ba552d67",
        "aud": "https://rs.example.com/",
        "exp": 1639528912,
        "iat": 1618354090,
        "jti": "dbe39bf3a3ba4238a513f51d6e1691c4",
        "client_id": "s6BhdRkqt3",
        "scope": "openid profile reademail",
    }
    keys = KeySet.parse({"keys": [json.loads(JWK["RS256"].to_jwk(RSA.public_key())) | {"kid": "RjEwOwOA"}]})
    trusted = trust(keys, ("https://rs.example.com/",), issuer=said["iss"], algorithms=("RS256",))
    alice = principal(signed(said, RSA, "RS256", typ="at+JWT", kid="RjEwOwOA"), trusted, 1639528900.0)
    assert (alice.id, alice.kind, alice.client, alice.token) == (
        "person:5ba552d67",
        "person",
        "s6BhdRkqt3",
        said["jti"],
    )
    assert alice.audience == ("https://rs.example.com/",)
    assert alice.scopes == ("openid", "profile", "reademail")
    assert alice.attributes == {}


# --- what issuers send


def test_a_principal_knows_client_audience_and_token() -> None:
    alice = principal(signed(claims(aud=["bank", "ledger"], limit=100, cnf={"jkt": "x"})))
    assert (alice.audience, alice.client, alice.token) == (("bank", "ledger"), "web", "t1")
    assert alice.attributes == {"limit": 100, "cnf": {"jkt": "x"}}
    assert (alice.issued, alice.expires) == (NOW - 1, NOW + 310)


@pytest.mark.parametrize(("key", "alg", "kid"), [(EC, "ES256", "e"), (RSA, "RS256", "r"), (ED, "EdDSA", "d")])
def test_each_family_of_keys(key: Any, alg: str, kid: str) -> None:
    assert principal(signed(claims(), key, alg, kid=kid)).id == "person:alice"


def test_a_client_that_acts_for_itself_is_a_workload() -> None:
    assert principal(signed(claims(sub="web"))).id == "workload:web"


def test_a_token_may_be_meant_for_any_accepted_audience() -> None:
    trusted = trust(audiences=("bank", "ledger"))
    assert principal(signed(claims(aud=["ledger"])), trusted).audience == ("ledger",)
    assert refused(signed(claims(aud=["other"])), trusted) == "audience"


KEYCLOAK = {"client_id": None, "azp": "web", "typ": "Bearer", "realm_access": {"roles": ["teller"]}, "sid": "s"}
ENTRA = {"client_id": None, "scope": None, "jti": None, "scp": "Pay.Write", "appid": "web", "uti": "u", "ver": "1.0"}
OKTA = {"client_id": None, "scope": None, "cid": "web", "scp": ["pay", "read"], "uid": "00u"}


@pytest.mark.parametrize(
    ("changes", "typ", "names", "scopes", "roles", "token"),
    [
        (KEYCLOAK, "JWT", {"roles": "realm_access.roles"}, ("accounts:read", "payments:write"), ("teller",), "t1"),
        (ENTRA, "JWT", {"scopes": "scp", "client": "appid", "jti": "uti"}, ("Pay.Write",), (), "u"),
        (OKTA, None, {"scopes": "scp", "client": "cid"}, ("pay", "read"), (), "t1"),
        (
            {"client_id": None, "azp": "web", "https://bank.example/roles": ["a"]},
            "JWT",
            {"roles": "https://bank.example/roles"},
            ("accounts:read", "payments:write"),
            ("a",),
            "t1",
        ),
    ],
    ids=["Keycloak", "Entra ID", "Okta", "a name with dots"],
)
def test_claims_of_other_names(
    changes: dict[str, Any],
    typ: str | None,
    names: dict[str, str],
    scopes: tuple[str, ...],
    roles: tuple[str, ...],
    token: str,
) -> None:
    trusted = trust(token_types=("JWT", ""), claims=ClaimNames(**names))
    who = principal(signed(claims(**changes), typ=typ), trusted)
    assert (who.scopes, who.roles, who.client, who.token) == (scopes, roles, "web", token)


# --- an ID token is no access token


@pytest.mark.parametrize(
    "changes",
    [
        {"typ": "ID"},
        {"typ": "Refresh"},
        {"typ": "Logout"},
        {"typ": ["Bearer"]},
        {"typ": "Bearer", "nonce": "n"},
        {"at_hash": "h"},
        {"c_hash": "h"},
        {"nonce": None, "events": {"http://schemas.openid.net/event/backchannel-logout": {}}},
        {"token_use": "id"},
        {"token_use": "refresh"},
        {"idtyp": "other"},
        {"scope": None, "client_id": None, "azp": "bank"},
        {"scope": None, "client_id": None, "azp": "bank", "acr": "1", "auth_time": 1, "email": "a@bank.example"},
    ],
)
@pytest.mark.parametrize("typ", ["JWT", "jwt", None])
def test_another_token_of_the_issuer_does_not_pass(changes: dict[str, Any], typ: str | None) -> None:
    refused(signed(claims(**changes), typ=typ), trust(token_types=("at+jwt", "JWT", "")))


def test_azp_says_nothing_wherever_the_client_is_read_from() -> None:
    id_token = signed(claims(scope=None, client_id=None, azp="bank"), typ="JWT")
    assert "nothing says" in refused(id_token, trust(token_types=("JWT",), claims=ClaimNames(client="azp")))


@pytest.mark.parametrize(
    "changes",
    [
        {"scope": None, "client_id": None, "azp": "web", "typ": "Bearer"},
        {"scope": None, "client_id": None, "azp": "web", "typ": "DPoP"},
        {"scope": None, "client_id": None, "azp": "web", "idtyp": "app", "roles": ["Pay.All"]},
        {"scope": None},
        {"client_id": None, "azp": "web"},
    ],
)
def test_what_says_that_it_is_an_access_token_is_one(changes: dict[str, Any]) -> None:
    assert principal(signed(claims(**changes), typ="JWT"), trust(token_types=("JWT",))).client == "web"


@pytest.mark.parametrize("typ", ["JWT", None, "", "JOSE", "dpop+jwt", "secevent+jwt", "txntoken+jwt", "logout+jwt"])
def test_a_type_that_is_not_configured_does_not_pass(typ: str | None) -> None:
    assert "typ" in refused(signed(claims(), typ=typ))


@pytest.mark.parametrize("typ", ["at+jwt", "AT+JWT", "application/at+jwt", "Application/AT+jwt"])
def test_a_type_has_several_spellings(typ: str) -> None:
    assert principal(signed(claims(), typ=typ)).id == "person:alice"


# --- claims that do not hold


@pytest.mark.parametrize("name", ["exp", "iat", "nbf", "auth_time"])
@pytest.mark.parametrize("value", ["NaN", "Infinity", "-1", "true", '"1800000300"', "1e400", "9" * 400, "[1]", "null"])
def test_what_is_no_time(name: str, value: str) -> None:
    text = json.dumps(claims(**{name: None}))[:-1] + f', "{name}": {value}}}'
    refused(signed(text.encode()))


@pytest.mark.parametrize("value", ["1800000300", "1800000300.5", "1.8000003e9", "1800000300.50"])
def test_a_time_is_a_number_however_it_is_written(value: str) -> None:
    text = json.dumps(claims(exp=None))[:-1] + f', "exp": {value}}}'
    assert principal(signed(text.encode())).expires == float(value) + 10


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": NOW - 11},
        {"exp": NOW + 86_411},
        {"exp": (NOW + 300) * 1000},
        {"exp": None},
        {"iat": NOW + 11},
        {"iat": None},
        {"nbf": NOW + 11},
        {"auth_time": NOW + 11},
        {"jti": None},
        {"jti": ""},
        {"jti": 7},
        {"client_id": None},
        {"client_id": ["web"]},
        {"sub": None},
        {"sub": 7},
        {"sub": ""},
        {"sub": "a b"},
        {"sub": "x" * 257},
        {"iss": None},
        {"iss": 7},
        {"iss": [ISSUER]},
        {"iss": ISSUER + "/"},
        {"aud": None},
        {"aud": []},
        {"aud": ["other"]},
        {"aud": {"bank": 1}},
        {"aud": ["bank", 7]},
        {"aud": "bank ledger"},
        {"scope": {"a": 1}},
        {"scope": ["a", 7]},
        {"roles": "teller"},
        {"roles": [True]},
        {"acr": 1},
        {"act": "agent"},
        {"cnf": "x"},
        {"deep": json.loads("[" * 70 + "]" * 70)},
    ],
    ids=str,
)
def test_claims_that_do_not_hold(changes: dict[str, Any]) -> None:
    refused(signed(claims(**changes)))


def test_scopes_are_parted_by_blanks_alone() -> None:
    assert principal(signed(claims(scope="a:b  c"))).scopes == ("a:b", "c")
    for odd in ("a\u00a0b", "c\td", 'a"b'):
        refused(signed(claims(scope=odd)))
        refused(signed(claims(scope=[odd])))
    refused(signed(claims(scope=["payments read"])))


@pytest.mark.parametrize("twice", ['"sub": "bob"', '"aud": "bank"', '"\\u0073ub": "bob"'])
def test_a_claim_that_stands_twice(twice: str) -> None:
    refused(signed((json.dumps(claims())[:-1] + f", {twice}}}").encode()))


@pytest.mark.parametrize("payload", [b"", b"[]", b'"x"', b"null", b"{", b"\xff{}", b"{} {}", b"[" * 5000])
def test_a_payload_that_is_no_object(payload: bytes) -> None:
    refused(signed(payload or b" "))
