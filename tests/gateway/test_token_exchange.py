"""Token exchange: what an agent gets for a person's token, what it never gets, and what the endpoint says."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import jwt
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, multiple, rule
from starlette.datastructures import Headers

from gateway.config import Issuer, TokenService
from gateway.identity.claims import principal_of
from gateway.token_service import (
    GRANT,
    ExchangeError,
    ExchangeRequest,
    Issued,
    Parties,
    exchange,
    read_request,
    token_application,
)
from gateway.transactions import SigningKey
from policy import Actor, Principal
from tests.gateway import asgi

NOW = 1_800_000_000.0
HERE = "https://tokens.bank.example"
IDP = "https://issuer.bank.example"
SETTINGS = TokenService(
    issuer=HERE,
    audiences={"bank": ("accounts", "payments"), "accounts": ("https://accounts.bank.example/read",), "other": ()},
    life_seconds=300,
    max_chain=3,
)
KEY = {"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}
ALICE = Principal(
    id="person:alice",
    kind="person",
    issuer=IDP,
    proof=("bearer",),
    assurance="urn:bank:strong",
    authenticated=NOW - 60,
    expires=NOW + 3610,
    token="t1",
    client="web",
    audience=("bank",),
    scopes=("accounts:read", "payments:write"),
    roles=("adviser",),
    attributes={"limit": 100, "account": "1001"},
)
BOT = Principal(id="agent:invoice-bot", kind="agent", issuer=IDP, proof=("dpop",), expires=NOW + 3600)
ASKED = ExchangeRequest(subject_token="s", actor_token="a")
PARTIES = Parties(ALICE, NOW + 3600, BOT, KEY)
_SIGNER = SigningKey.of(ec.generate_private_key(ec.SECP256R1()), 0.0)


def ask(
    request: ExchangeRequest = ASKED, parties: Parties = PARTIES, now: float = NOW, registered: bool = True
) -> Issued | ExchangeError:
    return exchange(request, parties, SETTINGS, now, jti="j1", registered=lambda _: registered)


def issued(answer: Issued | ExchangeError) -> Issued:
    assert isinstance(answer, Issued), answer
    return answer


def refused(answer: Issued | ExchangeError) -> str:
    assert isinstance(answer, ExchangeError), answer
    return answer.error


def but(principal: Principal, **changes: Any) -> Principal:
    return msgspec.structs.replace(principal, **changes)


def with_subject(**changes: Any) -> Parties:
    return msgspec.structs.replace(PARTIES, subject=but(ALICE, **changes))


def with_actor(**changes: Any) -> Parties:
    return msgspec.structs.replace(PARTIES, actor=but(BOT, **changes))


def wanting(**changes: Any) -> ExchangeRequest:
    return msgspec.structs.replace(ASKED, **changes)


def said(grant: Issued) -> dict[str, Any]:
    """The claims of the signed token, as a reader of JSON finds them."""
    token = grant.signed(_SIGNER)
    assert jwt.get_unverified_header(token)["typ"] == "at+jwt"
    payload = jwt.PyJWS().decode(token, _SIGNER.private.public_key(), algorithms=["ES256"])
    claims: dict[str, Any] = json.loads(payload)
    return claims


def test_the_agent_gets_a_token_of_its_own_on_her_behalf() -> None:
    grant = issued(ask(wanting(scope=("accounts:read",), audience=("accounts",))))
    assert said(grant) == {
        "iss": HERE,
        "sub_iss": IDP,
        "sub": "person:alice",
        "aud": ["accounts"],
        "iat": NOW,
        "exp": NOW + 300,
        "jti": "j1",
        "client_id": "agent:invoice-bot",
        "scope": "accounts:read",
        "act": {"sub": "agent:invoice-bot", "iss": IDP},
        "cnf": KEY,
        "acr": "urn:bank:strong",
        "auth_time": NOW - 60,
        "roles": ["adviser"],
        "limit": 100,
        "account": "1001",
    }
    assert (grant.seconds, grant.scope, grant.token_type) == (300, "accounts:read", "DPoP")


def test_who_asks_for_nothing_in_particular_gets_what_she_has() -> None:
    grant = issued(ask())
    assert (said(grant)["scope"], said(grant)["aud"]) == ("accounts:read payments:write", ["bank"])


@pytest.mark.parametrize(
    ("request_", "parties", "error"),
    [
        (wanting(scope=("accounts:read", "admin")), PARTIES, "invalid_scope"),
        (wanting(scope=("accounts:read",)), with_subject(scopes=()), "invalid_scope"),
        (wanting(audience=("other",)), PARTIES, "invalid_target"),
        (wanting(audience=("nowhere",)), PARTIES, "invalid_target"),
        (wanting(audience=("nowhere",)), with_subject(audience=("nowhere",)), "invalid_target"),
        (wanting(audience=("accounts", "other")), PARTIES, "invalid_target"),
        (wanting(audience=("payments",)), with_subject(audience=("accounts",)), "invalid_target"),
        (wanting(audience=("bank",)), with_subject(audience=("accounts",)), "invalid_target"),
        (ASKED, with_subject(audience=()), "invalid_target"),
        (ASKED, with_subject(audience=("nowhere",)), "invalid_target"),
        (wanting(resource=("https://elsewhere.example/",)), PARTIES, "invalid_target"),
        (wanting(resource=("accounts",)), PARTIES, "invalid_target"),
        (ASKED, with_actor(id="person:bob", kind="person"), "invalid_request"),
        (ASKED, with_actor(id="workload:batch", kind="workload"), "invalid_request"),
        (wanting(actor_token=""), with_actor(id="workload:batch", kind="workload"), "unauthorized_client"),
        (ASKED, with_actor(actors=(Actor("agent:other", "agent"),)), "invalid_request"),
        (ASKED, with_subject(attributes={"may_act": {"sub": "agent:other"}}), "invalid_request"),
        (ASKED, with_subject(attributes={"may_act": "agent:invoice-bot"}), "invalid_request"),
        (ASKED, with_subject(attributes={"may_act": {}}), "invalid_request"),
        (ASKED, with_subject(attributes={"cnf": {"jkt": "another"}}), "invalid_request"),
        (ASKED, with_subject(attributes={"cnf": KEY | {"x5t#S256": "not proven"}}), "invalid_request"),
        (ASKED, with_subject(attributes={"cnf": "odd"}), "invalid_request"),
        (ASKED, with_subject(attributes={"cnf": KEY | {"x5t#S256": None}}), "invalid_request"),
        (ASKED, with_actor(attributes={"cnf": "odd"}), "invalid_request"),
        (ASKED, msgspec.structs.replace(PARTIES, proven={}), "invalid_request"),
        (ASKED, msgspec.structs.replace(PARTIES, proven={"kid": "k"}), "invalid_request"),
        (ASKED, msgspec.structs.replace(PARTIES, ends=NOW), "invalid_request"),
        (ASKED, msgspec.structs.replace(PARTIES, ends=NOW + 0.9), "invalid_request"),
        (ASKED, with_actor(expires=NOW), "invalid_request"),
    ],
)
def test_what_is_not_hers_or_not_its_is_refused(request_: ExchangeRequest, parties: Parties, error: str) -> None:
    assert refused(ask(request_, parties)) == error


def test_an_agent_that_is_not_registered_gets_nothing() -> None:
    assert refused(ask(registered=False)) == "invalid_request"
    assert refused(ask(wanting(actor_token=""), registered=False)) == "unauthorized_client"


def test_the_register_is_asked_about_the_whole_chain() -> None:
    asked: list[Principal] = []
    parties = with_subject(actors=(Actor("agent:planner", "agent", IDP),))

    def registered(successor: Principal) -> bool:
        asked.append(successor)
        return True

    issued(exchange(ASKED, parties, SETTINGS, NOW, jti="j", registered=registered))
    assert list(asked[0].chain()) == ["person:alice", "agent:invoice-bot", "agent:planner"]
    assert asked[0].roles == ("adviser",)


def test_an_audience_may_be_narrowed_to_what_it_is_made_of() -> None:
    held = with_subject(audience=("accounts",))
    assert said(issued(ask(wanting(audience=("accounts",)), held)))["aud"] == ["accounts"]
    below = "https://accounts.bank.example/read"
    for resource in (below, below + "/", below + "/1001?full=yes"):
        assert said(issued(ask(wanting(resource=(resource,)), held)))["aud"] == [below]
    for resource in (below + "er", "https://accounts.bank.example/", below + "#part", below + "/#", "https://[/read"):
        assert refused(ask(wanting(resource=(resource,)), held)) == "invalid_target"


def test_it_ends_with_the_first_of_all_that_ends() -> None:
    assert said(issued(ask(parties=msgspec.structs.replace(PARTIES, ends=NOW + 60.7))))["exp"] == NOW + 60
    assert said(issued(ask(parties=with_actor(expires=NOW + 20))))["exp"] == NOW + 20
    assert said(issued(ask(parties=with_actor(expires=0.0))))["exp"] == NOW + 300
    assert said(issued(ask(now=NOW + 0.7)))["exp"] == NOW + 300


def test_it_is_bound_to_the_key_of_the_actor() -> None:
    """The holder of a bound token may have one made for another agent: in the hands of that one alone."""
    other = {"jkt": "key-of-the-other"}
    bound = with_subject(attributes={"cnf": KEY})
    assert said(issued(ask(parties=bound)))["cnf"] == KEY
    handed = msgspec.structs.replace(bound, actor=but(BOT, attributes={"cnf": other}))
    assert said(issued(ask(parties=handed)))["cnf"] == other
    certificate = {"x5t#S256": "thumbprint"}
    grant = issued(ask(parties=msgspec.structs.replace(PARTIES, proven=certificate)))
    assert (said(grant)["cnf"], grant.token_type) == (certificate, "Bearer")


def test_whether_the_chain_may_stand_is_asked_of_what_is_issued_not_of_what_was_shown() -> None:
    """An agent with registered keys is bound to one of its own, whatever key the person's token was bound to."""
    asked: list[Principal] = []
    parties = msgspec.structs.replace(PARTIES, subject=but(ALICE, attributes={"cnf": KEY}), actor=but(BOT))

    def registered(successor: Principal) -> bool:
        asked.append(successor)
        return True

    exchange(ASKED, parties, SETTINGS, NOW, jti="j1", registered=registered)
    other = {"jkt": "key-of-the-agent"}
    handed = msgspec.structs.replace(parties, actor=but(BOT, attributes={"cnf": other}))
    exchange(ASKED, handed, SETTINGS, NOW, jti="j1", registered=registered)
    assert [successor.attributes["cnf"] for successor in asked] == [KEY, other]


def test_may_act_names_who_may_come_without_the_holders_key_and_goes_on_doing_so() -> None:
    said_so = {"sub": "agent:invoice-bot", "iss": IDP}
    bound = with_subject(attributes={"cnf": {"jkt": "hers"}, "may_act": said_so})
    assert said(issued(ask(parties=bound)))["may_act"] == said_so


def test_an_agent_that_narrows_its_own_token_stands_in_it_once() -> None:
    mine = with_subject(actors=(Actor("agent:invoice-bot", "agent", IDP), Actor("agent:planner", "agent", IDP)))
    assert said(issued(ask(parties=mine)))["act"] == {
        "sub": "agent:invoice-bot",
        "iss": IDP,
        "act": {"sub": "agent:planner", "iss": IDP},
    }


def test_an_agent_does_not_come_round_again() -> None:
    round_ = with_subject(actors=(Actor("agent:planner", "agent", IDP), Actor("agent:invoice-bot", "agent", IDP)))
    assert refused(ask(parties=round_)) == "invalid_request"
    assert refused(ask(parties=with_subject(id="agent:invoice-bot", kind="agent"))) == "invalid_request"


def test_a_chain_ends_at_the_bound() -> None:
    def after(*names: str) -> Issued | ExchangeError:
        return ask(parties=with_subject(actors=tuple(Actor(f"agent:{name}", "agent", IDP) for name in names)))

    assert issued(after("a", "b"))
    assert refused(after("a", "b", "c")) == "invalid_request"


# --- The RFC's own examples ------------------------------------------------------------------------


def test_section_2_3_of_rfc_8693() -> None:
    form = (
        b"grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange"
        b"&resource=https%3A%2F%2Fbackend.example.com%2Fapi"
        b"&subject_token=accVkjcJyb4BWCxGsndESCJQbdFMogUC5PbRDqceLTC"
        b"&subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Aaccess_token"
    )
    request = read_request(form)
    assert request == ExchangeRequest(
        subject_token="accVkjcJyb4BWCxGsndESCJQbdFMogUC5PbRDqceLTC", resource=("https://backend.example.com/api",)
    )
    subject = Principal(
        id="person:bdc@example.com",
        kind="person",
        issuer="https://as.example.com",
        audience=("https://frontend.example.com",),
        scopes=("api",),
    )
    service = TokenService(
        issuer="https://as.example.com",
        audiences={"https://frontend.example.com": ("https://backend.example.com",)},
        life_seconds=60,
    )
    parties = Parties(subject, 1441917593.0 + 600, but(BOT, expires=0.0), KEY)
    grant = exchange(request, parties, service, 1441917533.0, jti="j", registered=lambda _: True)
    claims = said(issued(grant))
    assert claims["aud"] == ["https://backend.example.com"]
    assert claims["iss"] == "https://as.example.com"
    assert (claims["exp"], claims["iat"], claims["scope"]) == (1441917593, 1441917533, "api")
    assert claims["sub"] == "person:bdc@example.com"
    assert issued(grant).seconds == 60


def test_section_4_1_of_rfc_8693() -> None:
    """service16 acts for user, for whom service77 acted before."""
    subject = but(ALICE, id="person:user@example.com", actors=(Actor("agent:https://service77.example.com", "agent"),))
    actor = but(BOT, id="agent:https://service16.example.com", issuer="")
    claims = said(issued(ask(parties=Parties(subject, NOW + 100, actor, KEY))))
    assert claims["act"] == {
        "sub": "agent:https://service16.example.com",
        "act": {"sub": "agent:https://service77.example.com"},
    }


def test_section_4_4_of_rfc_8693() -> None:
    """user lets admin become the actor, and nobody else."""
    allowing = but(ALICE, id="person:user@example.com", attributes={"may_act": {"sub": "admin@example.com"}})
    for name, answer in (("admin@example.com", Issued), ("root@example.com", ExchangeError)):
        parties = Parties(allowing, NOW + 100, but(BOT, id=f"agent:{name}"), KEY)
        assert isinstance(ask(parties=parties), answer)


# --- No chain of exchanges widens, outlives, deepens or loses anything ------------------------------

_SCOPES = ("a", "b", "c", "d")
_AUDIENCES = ("bank", "accounts", "payments", "https://accounts.bank.example/read", "other", "nowhere")
_AGENTS = ("agent:1", "agent:2", "agent:3", "agent:4", "agent:5")
_SELDOM = st.sampled_from(("", "", "", "", *_AGENTS))
_FEW = st.sampled_from(([], [], ["bank"], ["accounts"], ["bank", "accounts"], ["payments"], ["other"], ["nowhere"]))
_SHORT = SETTINGS.model_copy(update={"max_chain": 2})
_HERE = Issuer(
    issuer=HERE,
    jwks_url="http://unused",
    audience="bank",
    leeway_seconds=0,
    vouches_for=("person", "workload", "agent"),
)


def reach(audiences: tuple[str, ...]) -> set[str]:
    """All that tokens for these may ever be narrowed to."""
    reached = {*audiences}
    while more := {part for name in reached for part in SETTINGS.audiences.get(name, ())} - reached:
        reached |= more
    return reached


def key_of(agent: str) -> dict[str, str]:
    return {"jkt": f"key-of-{agent}"}


class Token(msgspec.Struct, frozen=True):
    """A token in the hands of somebody, and when it ends."""

    principal: Principal
    ends: float


class Exchanges(RuleBasedStateMachine):
    """Any token goes through any exchange, and what comes out through further ones."""

    tokens = Bundle("tokens")

    @initialize(target=tokens)
    def start(self) -> Token:
        self.now = NOW
        return Token(but(ALICE, scopes=_SCOPES[:3]), NOW + 1000)

    @rule(
        target=tokens,
        scopes=st.sets(st.sampled_from(_SCOPES)),
        audience=_FEW,
        life=st.floats(-5, 1000),
        may_act=_SELDOM,
        bound=st.booleans(),
    )
    def log_in(self, scopes: set[str], audience: list[str], life: float, may_act: str, bound: bool) -> Token:
        attributes: dict[str, Any] = {"limit": 100} | ({"may_act": {"sub": may_act}} if may_act else {})
        attributes |= {"cnf": key_of("person:alice")} if bound else {}
        changes = {"scopes": tuple(sorted(scopes)), "audience": tuple(audience), "attributes": attributes}
        return Token(but(ALICE, **changes), self.now + life)

    @rule(seconds=st.floats(0, 200))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule(
        target=tokens,
        token=tokens,
        agent=st.sampled_from(_AGENTS),
        sender=_SELDOM,
        own=st.booleans(),
        proof_lives=st.sampled_from((0.0, 0.0, 0.0, 5.0, 400.0)),
        scope=st.sets(st.sampled_from(_SCOPES), max_size=2),
        audience=_FEW,
        resource=st.sampled_from(([], [], [], ["https://accounts.bank.example/read/1"], ["accounts"])),
    )
    def exchange(
        self,
        token: Token,
        agent: str,
        sender: str,
        own: bool,
        proof_lives: float,
        scope: set[str],
        audience: list[str],
        resource: list[str],
    ) -> Any:
        """Mostly the sender is whom the token is bound to; half of the actor tokens are bound to their agent's key."""
        bound = token.principal.attributes.get("cnf", key_of(agent))
        proven = key_of(sender) if sender else bound
        attributes = {"cnf": key_of(agent)} if own else {}
        expires = self.now + proof_lives if proof_lives else 0.0
        actor = but(BOT, id=agent, attributes=attributes, expires=expires)
        parties = Parties(token.principal, token.ends, actor, proven)
        request = wanting(scope=tuple(sorted(scope)), audience=tuple(audience), resource=tuple(resource))
        answer = exchange(request, parties, _SHORT, self.now, jti="j", registered=lambda _: True)
        if isinstance(answer, ExchangeError):
            return multiple()
        claims = said(answer)
        audiences = [name for name in _AUDIENCES if name != "nowhere"]
        child = principal_of(claims, _HERE, audiences, _SHORT.max_chain, self.now, ours=True)
        assert isinstance(child, Principal), child
        before = token.principal.attributes
        self.holds(token, child, claims, request)
        assert child.actor == agent
        assert not proof_lives or claims["exp"] <= expires
        assert before.get("may_act") in (None, {"sub": agent})
        assert claims["cnf"] == (key_of(agent) if own else proven)
        assert proven == bound or "cnf" not in before or "may_act" in before
        return Token(child, claims["exp"])

    def holds(self, parent: Token, child: Principal, claims: Mapping[str, Any], request: ExchangeRequest) -> None:
        """What is true of every exchange, and so of every chain of them."""
        before = parent.principal
        assert {*child.scopes} <= {*before.scopes}
        assert not request.scope or {*child.scopes} <= {*request.scope}
        assert reach(child.audience) <= reach(before.audience)
        assert self.now < claims["exp"] <= min(parent.ends, self.now + SETTINGS.life_seconds)
        assert child.actors[len(child.actors) - len(before.actors) :] == before.actors
        assert len(child.actors) <= min(_SHORT.max_chain, len(before.actors) + 1)
        same = ("id", "assurance", "authenticated", "roles")
        assert [getattr(child, name) for name in same] == [getattr(before, name) for name in same]
        kept = {name: value for name, value in before.attributes.items() if name != "cnf"}
        assert {name: value for name, value in child.attributes.items() if name != "cnf"} == kept


TestExchanges = Exchanges.TestCase
TestExchanges.settings = settings(max_examples=150, stateful_step_count=20, deadline=None)


def test_the_state_machine_can_reach_the_bound() -> None:
    machine = Exchanges()
    token: Any = machine.start()
    for agent, scope in zip(_AGENTS, ({"a", "b"}, {"a"}), strict=False):
        machine.wait(1.0)
        token = machine.exchange(token, agent, "", True, 0.0, scope, [], [])
    assert [actor.id for actor in token.principal.actors] == ["agent:2", "agent:1"]
    assert machine.exchange(token, "agent:3", "", True, 0.0, set(), [], []) == multiple()


# --- The form --------------------------------------------------------------------------------------

TYPE = "urn:ietf:params:oauth:token-type:access_token"
FORM = [("grant_type", GRANT), ("subject_token", "s.s.s"), ("subject_token_type", TYPE)]


def test_a_form_is_read() -> None:
    more = [
        ("actor_token", "a.a.a"),
        ("actor_token_type", "urn:ietf:params:oauth:token-type:jwt"),
        ("requested_token_type", TYPE),
        ("scope", "accounts:read payments:write accounts:read"),
        ("audience", "accounts"),
        ("audience", "payments"),
        ("resource", "https://accounts.bank.example/1"),
        ("unknown", "ignored"),
    ]
    assert read_request(urlencode(FORM + more).encode()) == ExchangeRequest(
        subject_token="s.s.s",
        actor_token="a.a.a",
        scope=("accounts:read", "payments:write"),
        audience=("accounts", "payments"),
        resource=("https://accounts.bank.example/1",),
    )
    empty = [("actor_token", ""), ("scope", ""), ("audience", ""), ("actor_token_type", "")]
    assert read_request(urlencode(FORM + empty).encode()) == ExchangeRequest(subject_token="s.s.s")


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"", "invalid_request"),
        (b"\xff", "invalid_request"),
        (b"subject_token", "invalid_request"),
        (b"grant_type=%FF", "invalid_request"),
        (urlencode(FORM[1:]).encode(), "invalid_request"),
        (urlencode([("grant_type", "password")]).encode(), "unsupported_grant_type"),
        (urlencode([*FORM, FORM[0]]).encode(), "invalid_request"),
        (urlencode([*FORM, ("x", ""), ("x", "")]).encode(), "invalid_request"),
        (urlencode([*FORM, *[("audience", "a")] * 70]).encode(), "invalid_request"),
        (urlencode([FORM[0], FORM[2]]).encode(), "invalid_request"),
        (urlencode(FORM[:2]).encode(), "invalid_request"),
        (urlencode([*FORM[:2], ("subject_token_type", TYPE.replace("access", "refresh"))]).encode(), "invalid_request"),
        (urlencode([*FORM, ("actor_token", "a")]).encode(), "invalid_request"),
        (urlencode([*FORM, ("actor_token_type", TYPE)]).encode(), "invalid_request"),
        (urlencode([*FORM, ("requested_token_type", TYPE.replace("access", "id"))]).encode(), "invalid_request"),
        (urlencode([FORM[0], ("subject_token", "s" * 16_385), FORM[2]]).encode(), "invalid_request"),
        (urlencode([FORM[0], ("subject_token", "s\ns"), FORM[2]]).encode(), "invalid_request"),
        (urlencode([*FORM, ("scope", "a  b")]).encode(), "invalid_scope"),
        (urlencode([*FORM, ("scope", 'a"b')]).encode(), "invalid_scope"),
        (urlencode([*FORM, ("scope", " ".join(f"s{n}" for n in range(257)))]).encode(), "invalid_scope"),
        (urlencode([*FORM, ("audience", "a b")]).encode(), "invalid_target"),
        (urlencode([*FORM, ("resource", "x" * 1025)]).encode(), "invalid_target"),
    ],
)
def test_what_is_no_exchange_is_refused(body: bytes, error: str) -> None:
    answer = read_request(body)
    assert isinstance(answer, ExchangeError)
    assert answer.error == error


@given(st.binary() | st.dictionaries(st.text(), st.text()).map(lambda form: urlencode(form).encode()))
def test_any_body_is_a_request_or_an_error(body: bytes) -> None:
    assert isinstance(read_request(body), ExchangeRequest | ExchangeError)


# --- The endpoint ----------------------------------------------------------------------------------


class Endpoint:
    """The application over callables that a test sets, asked without a socket."""

    def __init__(self) -> None:
        self.parties: Parties | ExchangeError | Exception = PARTIES
        self.seen: list[tuple[ExchangeRequest, Headers]] = []
        self.app = token_application(self._identify, ask, lambda grant: grant.signed(_SIGNER))

    async def _identify(self, request: ExchangeRequest, headers: Headers, body: bytes) -> Parties | ExchangeError:
        self.seen.append((request, headers))
        if isinstance(self.parties, Exception):
            raise self.parties
        return self.parties

    async def ask(
        self, body: bytes = urlencode(FORM).encode(), kind: str = "application/x-www-form-urlencoded", **scope: Any
    ) -> tuple[int, dict[str, str], Any]:
        headers = [(b"host", b"bank"), (b"content-type", kind.encode()), (b"dpop", b"p")]
        return await asgi.ask(self.app, {"path": "/token", "headers": headers} | scope, body)


@pytest.fixture
def endpoint() -> Endpoint:
    return Endpoint()


async def test_the_answer_is_a_token_that_nobody_keeps(endpoint: Endpoint) -> None:
    status, headers, answer = await endpoint.ask(kind="application/x-www-form-urlencoded; charset=UTF-8")
    assert (status, headers["cache-control"], headers["pragma"]) == (200, "no-store", "no-cache")
    token = answer.pop("access_token")
    assert answer == {
        "issued_token_type": TYPE,
        "token_type": "DPoP",
        "expires_in": 300,
        "scope": "accounts:read payments:write",
    }
    assert jwt.decode(token, options={"verify_signature": False, "verify_exp": False})["sub"] == "person:alice"
    request, seen = endpoint.seen[0]
    assert (request.subject_token, seen.getlist("dpop")) == ("s.s.s", ["p"])


async def test_errors_are_told_as_oauth_tells_them(endpoint: Endpoint) -> None:
    wide = urlencode([*FORM, ("scope", "admin")]).encode()
    assert await endpoint.ask(wide) == (
        400,
        {
            "cache-control": "no-store",
            "pragma": "no-cache",
            "content-type": "application/json",
            "content-length": "87",
        },
        {"error": "invalid_scope", "error_description": "the scope is wider than the subject has"},
    )


async def test_what_identification_says_is_passed_on(endpoint: Endpoint) -> None:
    endpoint.parties = ExchangeError("use_dpop_nonce", "a nonce is needed", {"dpop-nonce": "n1"})
    status, headers, answer = await endpoint.ask()
    assert (status, headers["dpop-nonce"], answer["error"]) == (400, "n1", "use_dpop_nonce")
    endpoint.parties = ExchangeError("invalid_client", "nobody", {"www-authenticate": "DPoP"})
    status, headers, answer = await endpoint.ask()
    assert (status, headers["www-authenticate"], answer["error"]) == (401, "DPoP", "invalid_client")


async def test_whatever_fails_refuses(endpoint: Endpoint) -> None:
    endpoint.parties = RuntimeError("a store is away")
    status, _, answer = await endpoint.ask()
    assert (status, answer["error"]) == (503, "temporarily_unavailable")


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"kind": "application/json"}, 400),
        ({"kind": ""}, 400),
        ({"query_string": b"scope=admin"}, 400),
        ({"body": b"x" * 65_537}, 400),
        ({"method": "GET"}, 405),
        ({"path": "/other"}, 404),
    ],
)
async def test_other_requests_identify_nobody(endpoint: Endpoint, changes: dict[str, Any], status: int) -> None:
    assert (await endpoint.ask(**changes))[0] == status
    assert not endpoint.seen


async def test_a_body_that_ends_early_is_refused(endpoint: Endpoint) -> None:
    headers = [(b"content-type", b"application/x-www-form-urlencoded")]
    status, _, _ = await asgi.ask(endpoint.app, {"path": "/token", "headers": headers}, None)
    assert status == 400
