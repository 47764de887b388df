"""An administrator logs somebody out in a real Keycloak, and her live streams end (Back-Channel Logout 1.0)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import jwt
import pytest

from deploy.demo.ports import free_port
from gateway.config import ClaimNames, Config, Edge, Identity, Issuer, Logout, Signals
from gateway.edge import LOGOUT_PATH
from gateway.operations import GatewayOperations
from tests.gateway.edge_rig import until
from tests.gateway.front import Front, front
from tests.keycloak.conftest import Realm
from tests.keycloak.server import AUDIENCE

pytestmark = pytest.mark.asyncio(loop_scope="session")
WITHIN = 10.0  # seconds from the administrator's call to the stream's end, Keycloak's own work included
OURS_WITHIN = 50.0  # milliseconds from the logout token's arrival


@dataclass
class Bank:
    """The edge, and the realm that tells it of logouts."""

    realm: Realm
    front: Front

    async def token(self, username: str = "alice") -> str:
        """The access token of a login of its own."""
        return str((await self.realm.browse(username=username))["access_token"])

    async def status(self, token: str) -> int:
        """What the edge answers to who shows this."""
        return (await self.front.get(shown={"authorization": f"Bearer {token}"}))[0]

    async def log_out(self, token: str) -> None:
        """An administrator ends all logins of the person."""
        await self.realm.server.admin("POST", f"/{self.realm.name}/users/{claims(token)['sub']}/logout")

    async def end_login(self, token: str) -> None:
        """An administrator ends the one login that the token is of."""
        await self.realm.server.admin("DELETE", f"/{self.realm.name}/sessions/{claims(token)['sid']}")

    def cuts(self) -> list[dict[str, Any]]:
        """All cuts, newest first."""
        return GatewayOperations(self.front.gateway).cuts(100)


@asynccontextmanager
async def bank(realm: Realm, session_required: bool = True) -> AsyncIterator[Bank]:
    """`session_required`: whether Keycloak names the login that ended, and not the person alone."""
    port = free_port()
    await _tells(realm, f"https://localhost:{port}{LOGOUT_PATH}", session_required)

    def edge(config: Config) -> Edge:
        return config.edge.model_copy(update={"port": port})

    def identity(config: Config) -> Identity:
        claims = ClaimNames(roles="realm_access.roles")
        return config.identity.model_copy(
            update={"issuers": (Issuer(issuer=realm.issuer, audience=AUDIENCE, claims=claims),)}
        )

    def signals(config: Config) -> Signals:
        return Signals(logout=(Logout(issuer=realm.issuer, client_id="browser"),))

    async with front(edge=edge, identity=identity, signals=signals) as started:
        yield Bank(realm, started)


async def _tells(realm: Realm, url: str, session_required: bool) -> None:
    (browser,) = await realm.server.admin("GET", f"/{realm.name}/clients?clientId=browser")
    required = "true" if session_required else "false"
    told = {"backchannel.logout.url": url, "backchannel.logout.session.required": required}
    await realm.server.admin(
        "PUT", f"/{realm.name}/clients/{browser['id']}", browser | {"attributes": browser["attributes"] | told}
    )


async def test_who_is_logged_out_streams_no_more_and_the_bystander_does(realm: Realm) -> None:
    async with bank(realm) as edge:
        alice, bob = await edge.token(), await edge.token("bob")
        async with edge.front.stream(alice) as hers, edge.front.stream(bob) as his:
            asked = time.monotonic()
            await edge.log_out(alice)
            await asyncio.wait_for(hers, WITHIN)
            assert time.monotonic() - asked < WITHIN
            (cut,) = edge.cuts()
            assert cut["milliseconds"] < OURS_WITHIN
            assert (cut["subject"], cut["reason"]) == (f"person:{claims(alice)['sub']}", "logout")
            assert claims(alice)["exp"] > time.time() + 60
            assert await edge.status(alice) == 401
            assert await edge.status(await edge.token()) == 200
            assert not his.done()


async def test_another_login_of_hers_lives_on_when_one_is_ended(realm: Realm) -> None:
    async with bank(realm) as edge:
        ended, other = await edge.token(), await edge.token()
        assert claims(ended)["sid"] != claims(other)["sid"]
        async with edge.front.stream(ended) as hers, edge.front.stream(other) as also_hers:
            await edge.end_login(ended)
            await asyncio.wait_for(hers, WITHIN)
            assert (await edge.status(ended), await edge.status(other)) == (401, 200)
            assert len(edge.cuts()) == 1
            assert not also_hers.done()


# With more logins than one Keycloak 26.4 sends one logout token, which names one of them if it must (keycloak#22914).
async def test_every_login_of_hers_ends_where_keycloak_names_her_alone(realm: Realm) -> None:
    async with bank(realm, session_required=False) as edge:
        tokens, bob = [await edge.token(), await edge.token()], await edge.token("bob")
        async with (
            edge.front.stream(tokens[0]) as first,
            edge.front.stream(tokens[1]) as second,
            edge.front.stream(bob) as his,
        ):
            await edge.log_out(tokens[0])
            await asyncio.wait_for(asyncio.gather(first, second), WITHIN)
            assert {cut["subject"] for cut in edge.cuts()} == {f"person:{claims(tokens[0])['sub']}"}
            assert all(cut["milliseconds"] < OURS_WITHIN for cut in edge.cuts())
            assert [await edge.status(token) for token in [*tokens, bob]] == [401, 401, 200]
            over = int(time.time()) + 1
            await until(lambda: time.time() >= over, "what is issued now is younger than the logout")
            assert await edge.status(await edge.token()) == 200
            assert not his.done()


def claims(token: str) -> dict[str, Any]:
    """What a token says."""
    return dict(jwt.decode(token, options={"verify_signature": False}))
