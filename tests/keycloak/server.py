"""A real Keycloak in a process of its own, and its admin API: realms, clients, people, keys."""

from __future__ import annotations

import asyncio
import html
import os
import re
import signal
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import aiohttp

from deploy.demo.ports import free_port

HOME = Path(__file__).parents[2] / ".peers" / "keycloak-26.4.0"
START = 180.0  # seconds; a bound for a busy machine
ADMIN = "admin"
SECRET = "only-here"
AUDIENCE = "https://bank.example"


@dataclass
class Keycloak:
    """A running server."""

    url: str
    session: aiohttp.ClientSession
    _token: tuple[str, float] = field(default=("", 0.0))

    def issuer(self, realm: str) -> str:
        """The issuer's name, under which its metadata lies too."""
        return f"{self.url}/realms/{realm}"

    async def admin(self, method: str, path: str, body: Any = None) -> Any:
        """One call of the admin API; its JSON answer, if it has one."""
        headers = {"authorization": f"Bearer {await self._admin_token()}"}
        async with self.session.request(method, f"{self.url}/admin/realms{path}", json=body, headers=headers) as answer:
            text = await answer.text()
            assert answer.status < 400, f"{method} {path}: {answer.status} {text}"
            return await answer.json() if text and answer.content_type == "application/json" else None

    async def token(
        self, realm: str, form: Mapping[str, str], headers: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """An answer of the token endpoint, good or bad."""
        url = f"{self.issuer(realm)}/protocol/openid-connect/token"
        async with self.session.post(url, data=form, headers=headers) as answer:
            return {"status": answer.status, **await answer.json()}

    async def log_in(self, realm: str, query: Mapping[str, str], typed: Mapping[str, str]) -> dict[str, str]:
        """What the browser is sent back with, once somebody has typed this into the login page."""
        # As browsers do: the cookies of an address count, and on this machine those for TLS alone too.
        jar = aiohttp.CookieJar(unsafe=True, treat_as_secure_origin=self.url)
        async with aiohttp.ClientSession(cookie_jar=jar) as browser:
            async with browser.get(f"{self.issuer(realm)}/protocol/openid-connect/auth", params=query) as page:
                action = re.search(r'<form[^>]*\baction="([^"]+)"', await page.text())
                assert action, f"no login page: {page.status}"
            async with browser.post(html.unescape(action[1]), data=typed, allow_redirects=False) as answer:
                assert answer.status == 302, f"not logged in: {answer.status}"
                return dict(parse_qsl(urlsplit(answer.headers["location"]).query))

    async def _admin_token(self) -> str:
        token, until = self._token
        if time.monotonic() > until:
            form = {"grant_type": "password", "client_id": "admin-cli", "username": ADMIN, "password": SECRET}
            token = (await self.token("master", form))["access_token"]
            self._token = token, time.monotonic() + 30.0
        return token


@asynccontextmanager
async def running(trusted: Path) -> AsyncIterator[Keycloak]:
    """Keycloak with an empty database in memory, until the block ends. `trusted`: authorities of the servers that it
    calls, as PEM.
    """
    port, management = free_port(), free_port()
    command = [str(HOME / "bin" / "kc.sh"), "start-dev", "--db=dev-mem", "--http-host=127.0.0.1", f"--http-port={port}"]
    command += [f"--http-management-port={management}", "--log-level=warn"]
    command += [f"--truststore-paths={trusted}"]
    environment = os.environ | {
        "KC_BOOTSTRAP_ADMIN_USERNAME": ADMIN,
        "KC_BOOTSTRAP_ADMIN_PASSWORD": SECRET,
        "JAVA_OPTS_KC_HEAP": "-Xms64m -Xmx768m",
    }
    process = await asyncio.create_subprocess_exec(
        *command, env=environment, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL, process_group=0
    )
    try:
        async with aiohttp.ClientSession() as session:
            server = Keycloak(f"http://127.0.0.1:{port}", session)
            await _ready(server, process)
            yield server
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


async def _ready(server: Keycloak, process: asyncio.subprocess.Process) -> None:
    async with asyncio.timeout(START):
        while True:
            assert process.returncode is None, "Keycloak ended while it started"
            try:
                async with server.session.get(f"{server.issuer('master')}/.well-known/openid-configuration") as answer:
                    if answer.status == 200:
                        return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.2)


def bank(realm: str) -> dict[str, Any]:
    """A realm: alice and bob, tellers; clients for a browser, for a wallet that proves its key, and for the gateway."""
    audience = {
        "name": "audience",
        "protocol": "openid-connect",
        "protocolMapper": "oidc-audience-mapper",
        "config": {
            "included.custom.audience": AUDIENCE,
            "access.token.claim": "true",
            "introspection.token.claim": "true",
        },
    }
    rfc9068 = {"access.token.header.type.rfc9068": "true"}

    def client(name: str, **more: Any) -> dict[str, Any]:
        attributes = rfc9068 | more.pop("attributes", {})
        return {
            "clientId": name,
            "publicClient": True,
            "directAccessGrantsEnabled": True,
            "redirectUris": ["http://127.0.0.1/*"],
            "protocolMappers": [audience],
            "attributes": attributes,
            **more,
        }

    return {
        "realm": realm,
        "enabled": True,
        "sslRequired": "none",
        "accessTokenLifespan": 300,
        "defaultSignatureAlgorithm": "ES256",
        "roles": {"realm": [{"name": "teller"}]},
        "users": [_teller("alice"), _teller("bob")],
        "clients": [
            client("browser"),
            client("wallet", attributes={"dpop.bound.access.tokens": "true"}),
            client("lightweight", attributes={"client.use.lightweight.access.token.enabled": "true"}),
            {"clientId": "gateway", "secret": SECRET, "serviceAccountsEnabled": True, "standardFlowEnabled": False},
        ],
    }


def _teller(name: str) -> dict[str, Any]:
    return {
        "username": name,
        "enabled": True,
        "email": f"{name}@bank.example",
        "emailVerified": True,
        "firstName": name.title(),
        "lastName": "Teller",
        "credentials": [{"type": "password", "value": SECRET}],
        "realmRoles": ["teller"],
    }
