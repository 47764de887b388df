"""Routes as the gateway sees them: an answer is for one of them, and while they change nobody guesses which it is."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config import Config, Route, Service
from gateway.enforcement import Answer, Attempt
from gateway.identity import Credentials
from gateway.routing import Routing, binding
from tests.gateway.parts import Bank

SERVICE, ROUTE = Service(address="10.0.0.1", port=1), Route(prefix="/a", service="bank")


@pytest.mark.parametrize(
    ("route", "service"),
    [
        ({"service": "other"}, {}),
        ({"stream": True}, {}),
        ({"body_bytes": 1}, {}),
        ({}, {"protocol": "grpc"}),
        ({}, {"audience": "x"}),
    ],
)
def test_a_binding_holds_all_that_a_judgement_depends_on(route: dict[str, Any], service: dict[str, Any]) -> None:
    other = binding(ROUTE.model_copy(update=route), SERVICE.model_copy(update=service))
    assert other != binding(ROUTE, SERVICE)


@pytest.mark.parametrize(
    ("route", "service"), [({"prefix": "/b"}, {}), ({"timeout_seconds": 1.0}, {}), ({}, {"address": "10.0.0.2"})]
)
def test_and_nothing_else(route: dict[str, Any], service: dict[str, Any]) -> None:
    other = binding(ROUTE.model_copy(update=route), SERVICE.model_copy(update=service))
    assert other == binding(ROUTE, SERVICE)


async def ask(bank: Bank, path: str) -> Answer:
    return await bank.judge.ask(Attempt("GET", path, "bank.example", "", Credentials(f"Bearer {bank.token()}")))


async def test_while_routes_change_only_paths_whose_route_changes_are_refused() -> None:
    bank = Bank()
    before = await ask(bank, "/accounts/1001")
    assert before.allowed
    other = Service(address="10.0.0.9", port=1)
    elsewhere = Route(prefix="/accounts/1001/", service="other")
    changing = Routing(
        bank.config.model_copy(
            update={
                "services": {**bank.config.services, "other": other},
                "routes": (elsewhere, *bank.config.routes),
            }
        )
    )
    bank.judge.begin_change(changing)
    assert (await ask(bank, "/accounts/1001")).route == before.route
    refused = await ask(bank, "/accounts/1001/statements")
    assert (refused.status, refused.reasons) == (503, ("routes_are_changing",))
    bank.judge.end_change(changing)
    assert (await ask(bank, "/accounts/1001")).route == before.route
    after = await ask(bank, "/accounts/1001/statements")
    assert after.status != 503
    assert after.request is not None
    assert after.request.service == "other"


_SERVICES = {name: Service(address="10.0.0.1", port=1) for name in ("a", "b", "c")}
_PATHS = st.text("ab/", min_size=0, max_size=4).map("/{}".format)
_ROUTES = st.lists(
    st.builds(Route, prefix=_PATHS, service=st.sampled_from("abc"), stream=st.booleans()), min_size=1, max_size=6
)


@given(_ROUTES, _PATHS)
def test_the_first_prefix_wins_as_in_the_edge(routes: list[Route], path: str) -> None:
    routing = Routing(Config(services=_SERVICES, routes=tuple(routes)))
    matching = [route for route in routes if path.startswith(route.prefix)]
    assert routing.match(path) == (matching[0] if matching else None)
    assert routing.bound(path) == (binding(matching[0], _SERVICES[matching[0].service]) if matching else "")
