"""Invariants: who signs what a request is, is believed; a change of what is covered breaks it; any header is a refusal,
never an exception; what no key signed is never believed.
"""

from __future__ import annotations

import string
from typing import Any

import http_sf
import msgspec
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from hypothesis import given
from hypothesis import strategies as st

from gateway.config import HttpSignatures
from gateway.identity import Refusal
from gateway.identity.signatures import Directory, Message, Signed, presented, signature_base, verify_signature
from tests.http_signer import Agent

NOW = 1_800_000_000.0
TIMES: dict[str, Any] = {"created": int(NOW), "expires": int(NOW) + 60, "nonce": "n", "tag": "web-bot-auth"}
AGENTS = [Agent(ed25519.Ed25519PrivateKey.generate()), Agent(ec.generate_private_key(ec.SECP256R1()))]
KEYS = {agent.keyid: agent.key for agent in AGENTS}
SETTINGS = HttpSignatures(components=())


class Forgetful:
    """Takes everything for new."""

    def first(self, key: bytes, until: float, now: float) -> bool:
        return True


def verify(message: Message) -> Signed | Refusal:
    return verify_signature(message, KEYS, now=NOW, settings=SETTINGS, replay=Forgetful())


_text = st.text(string.ascii_letters + string.digits + string.punctuation + " \t", max_size=20)
_names = st.sampled_from(["accept", "date", "x-one", "x-two"])
_path = st.text(string.ascii_letters + "%/;=.~", max_size=10).map(lambda rest: "/" + rest)
_query = st.dictionaries(st.sampled_from("abc"), st.text(string.ascii_letters + "+.-", max_size=5)).map(
    lambda pairs: "&".join(f"{name}={value}" for name, value in pairs.items())
)
_messages = st.builds(
    Message,
    method=st.sampled_from(["GET", "POST", "get", "M-SEARCH"]),
    scheme=st.sampled_from(["https", "http"]),
    authority=st.sampled_from(["bank.example", "BANK.example", "[::1]:8443"]),
    path=_path,
    query=st.none() | _query,
    headers=st.lists(st.tuples(_names, _text), max_size=6).map(tuple),
)


@st.composite
def signed_messages(draw: st.DrawFn) -> tuple[Message, tuple[str, ...]]:
    """A message and components of it, the authority among them."""
    message = draw(_messages)
    derived = ["@method", "@scheme", "@target-uri", "@request-target", "@path", "@query"]
    fields = sorted({name for name, _ in message.headers})
    have = [f'"{name}"' for name in derived + fields] + [f'"{name}";bs' for name in fields]
    have += [f'"@query-param";name="{part[0]}"' for part in (message.query or "").split("&") if part]
    chosen = draw(st.lists(st.sampled_from(have), unique=True, max_size=8))
    return message, tuple(draw(st.permutations(['"@authority"', *chosen])))


@given(signed_messages(), st.sampled_from(AGENTS))
def test_what_is_signed_is_believed(case: tuple[Message, tuple[str, ...]], agent: Agent) -> None:
    message, components = case
    answer = verify(agent.sign(message, components, **TIMES))
    assert isinstance(answer, Signed)
    assert (answer.keyid, answer.components) == (agent.keyid, components)


def base_of(message: Message) -> bytes | None:
    """What the message's own Signature-Input covers of it; None where it covers what is not there."""
    claim = presented(message, "web-bot-auth")
    assert not isinstance(claim, Refusal)
    try:
        return signature_base(message, claim.components, claim.parameters)
    except ValueError:
        return None


@given(signed_messages(), _messages, st.sampled_from(AGENTS))
def test_a_signature_is_believed_for_the_same_base_alone(
    case: tuple[Message, tuple[str, ...]], other: Message, agent: Agent
) -> None:
    request = agent.sign(*case, **TIMES)
    moved = msgspec.structs.replace(other, headers=other.headers + request.headers[-2:])
    assert isinstance(verify(moved), Signed) == (base_of(moved) == base_of(request))


# How each derived component changes, so that it must be seen in the base.
_CHANGES = {
    '"@method"': {"method": "DELETE"},
    '"@authority"': {"authority": "bank.example:81"},
    '"@path"': {"path": "/other/0"},
    '"@query"': {"query": "other=0"},
    '"@request-target"': {"path": "/other/0"},
    '"@target-uri"': {"query": "other=0"},
}


@given(signed_messages(), st.data())
def test_any_change_of_what_is_covered_breaks_it(case: tuple[Message, tuple[str, ...]], data: st.DataObject) -> None:
    message, components = case
    request = AGENTS[0].sign(message, components, **TIMES)
    changed = data.draw(st.sampled_from(components))
    if changed == '"@scheme"':
        altered = msgspec.structs.replace(request, scheme="http" if message.scheme == "https" else "https")
    elif changed.startswith('"@'):
        altered = msgspec.structs.replace(request, **_CHANGES.get(changed, {"query": None}))
    else:
        name = changed.split('"')[1]
        altered = msgspec.structs.replace(request, headers=((name, "another"), *request.headers))
    assert isinstance(verify(altered), Refusal)


@given(signed_messages(), st.data())
def test_any_change_of_the_signature_breaks_it(case: tuple[Message, tuple[str, ...]], data: st.DataObject) -> None:
    request = AGENTS[0].sign(*case, **TIMES)
    place = data.draw(st.sampled_from([-1, -2]))
    name, value = request.headers[place]
    position = data.draw(st.integers(0, len(value) - 1))
    letter = data.draw(st.characters(min_codepoint=0, max_codepoint=255))
    mutated = value[:position] + letter + value[position + 1 :]
    headers = list(request.headers)
    headers[place] = (name, mutated)
    altered = msgspec.structs.replace(request, headers=tuple(headers))
    if isinstance(verify(altered), Signed):  # another spelling of the same thing
        assert _meaning(altered) == _meaning(request) or name == "Signature-Input"
        assert base_of(altered) == base_of(request)


def _meaning(message: Message) -> Any:
    claim = presented(message, "web-bot-auth")
    assert not isinstance(claim, Refusal)
    return claim.signature


_member = st.sampled_from(['sig1=("@authority")', 'sig1=("@query-param";name="a")', 'sig1=("signature-agent";key="a")'])
_parameters = st.lists(
    st.sampled_from(
        [
            ";created=1800000000",
            ";created=-1",
            ";created=999999999999999",
            ";created=1.5",
            ";created=@1",
            ";expires=1800000060",
            ";expires=999999999999999",
            f';keyid="{AGENTS[0].keyid}"',
            ';alg="ed25519"',
            ';alg="hmac-sha256"',
            ';nonce="n"',
            ";nonce=:AAAA:",
            ';tag="web-bot-auth"',
            ";tag=web-bot-auth",
            ';tag=%"web-bot-auth"',
        ]
    )
).map("".join)
_input = st.text() | st.text('sig1=("@authority");created=1, \\:?@%*-.0') | st.builds(str.__add__, _member, _parameters)
_signature = st.text() | st.binary(max_size=80).map(lambda made: f"sig1={http_sf.ser(made)}")
_agent = st.none() | st.text() | st.sampled_from(['a="https://a.example"', '"https://a.example"', "a", "a=(1 2)"])
_lines = st.tuples(st.lists(_input, max_size=3), st.lists(_signature, max_size=3), _agent)


@given(_messages, _lines)
def test_any_header_is_a_refusal(message: Message, lines: tuple[list[str], list[str], str | None]) -> None:
    inputs, signatures, agent = lines
    headers = [("Signature-Input", line) for line in inputs] + [("Signature", line) for line in signatures]
    headers += [("Signature-Agent", agent)] if agent is not None else []
    answer = verify(msgspec.structs.replace(message, headers=message.headers + tuple(headers)))
    assert isinstance(answer, Refusal)
    assert answer.error == "invalid_signature"


_anything = st.text(max_size=30)


@given(_anything, _anything, _anything, _anything, st.none() | _anything, st.lists(st.tuples(_anything, _anything)))
def test_any_request_is_a_refusal(
    method: str, scheme: str, authority: str, path: str, query: str | None, headers: list[tuple[str, str]]
) -> None:
    written = '"@method" "@scheme" "@authority" "@path" "@query" "@target-uri" "@query-param";name="a" "x-one";bs'
    member = f'sig1=({written});created={int(NOW)};expires={int(NOW) + 1};tag="web-bot-auth";nonce="n"'
    signed = (("signature-input", f'{member};keyid="{AGENTS[0].keyid}"'), ("signature", "sig1=:AAAA:"))
    every = (*headers, ("x-one", authority), *signed)
    for name in (authority, "bank.example"):
        request = Message(method=method, scheme=scheme, authority=name, path=path, query=query, headers=every)
        assert isinstance(verify(request), Refusal)


_json = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), lambda inner: st.lists(inner))
_jwk = st.dictionaries(
    st.sampled_from(["kty", "crv", "x", "y", "n", "e", "alg", "use", "nbf", "exp", "key_ops"]),
    _json | st.sampled_from(["OKP", "Ed25519", "EC", "RSA"]),
)


@given(st.binary() | st.lists(_jwk | _json).map(lambda keys: msgspec.json.encode({"keys": keys})), st.floats())
def test_any_directory(document: bytes, now: float) -> None:
    try:
        keys = Directory.parse(document).at(now)
    except ValueError:
        return
    assert all(keyid == key.thumbprint for keyid, key in keys.items())
