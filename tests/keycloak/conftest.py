"""One Keycloak for all tests here, and a realm of its own for each."""

from __future__ import annotations

import hashlib
import os
import secrets
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from dataclasses import dataclass
from itertools import count
from typing import Any

import pytest
import pytest_asyncio

from tests.gateway.front import SERVER
from tests.keycloak.server import HOME, SECRET, Keycloak, bank, running

_REALMS = count(1)
BACK = "http://127.0.0.1/back"  # where the login page sends her, with the code


@dataclass
class Realm:
    """A bank's realm of its own."""

    server: Keycloak
    name: str

    @property
    def issuer(self) -> str:
        """The issuer's name."""
        return self.server.issuer(self.name)

    async def login(self, client: str = "browser", **headers: str) -> dict[str, Any]:
        """Alice's tokens, by her password."""
        form = {"grant_type": "password", "client_id": client, "username": "alice", "password": SECRET}
        return await self.server.token(self.name, form | {"scope": "openid"}, headers)

    async def browse(self, client: str = "browser", username: str = "alice", **asked: str) -> dict[str, Any]:
        """Somebody's tokens, by the login page of her browser (RFC 6749 section 4.1, with RFC 7636)."""
        verifier, state = secrets.token_urlsafe(48), secrets.token_urlsafe(8)
        challenge = urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        query = {"client_id": client, "redirect_uri": BACK, "response_type": "code", "scope": "openid", "state": state}
        query |= {"code_challenge": challenge, "code_challenge_method": "S256", **asked}
        back = await self.server.log_in(self.name, query, {"username": username, "password": SECRET})
        assert back["state"] == state, back
        form = {"grant_type": "authorization_code", "client_id": client, "redirect_uri": BACK, "code": back["code"]}
        return await self.server.token(self.name, form | {"code_verifier": verifier})

    async def refresh(self, refresh_token: str, client: str = "browser") -> dict[str, Any]:
        """New tokens for old."""
        form = {"grant_type": "refresh_token", "client_id": client, "refresh_token": refresh_token}
        return await self.server.token(self.name, form)

    async def rotate(self, priority: int) -> None:
        """A new signing key, used from now on; older ones still verify."""
        provider = {
            "name": f"rotated-{priority}",
            "providerId": "ecdsa-generated",
            "providerType": "org.keycloak.keys.KeyProvider",
            "config": {
                "priority": [str(priority)],
                "ecdsaEllipticCurveKey": ["P-256"],
                "active": ["true"],
                "enabled": ["true"],
            },
        }
        await self.server.admin("POST", f"/{self.name}/components", provider)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def keycloak(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Keycloak]:
    if not (HOME / "bin" / "kc.sh").exists():
        pytest.skip("needs keycloak")
    os.environ.pop("KC_DB", None)
    trusted = tmp_path_factory.mktemp("keycloak") / "trusted.pem"
    trusted.write_bytes(SERVER.pem)
    async with running(trusted) as server:
        yield server


@pytest_asyncio.fixture(loop_scope="session")
async def realm(keycloak: Keycloak) -> AsyncIterator[Realm]:
    name = f"bank-{next(_REALMS)}"
    await keycloak.admin("POST", "", bank(name))
    yield Realm(keycloak, name)
