"""One Keycloak for all tests here, and a realm of its own for each."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from itertools import count
from typing import Any

import pytest
import pytest_asyncio

from tests.keycloak.server import HOME, SECRET, Keycloak, bank, running

_REALMS = count(1)


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
async def keycloak() -> AsyncIterator[Keycloak]:
    if not (HOME / "bin" / "kc.sh").exists():
        pytest.skip("needs keycloak")
    os.environ.pop("KC_DB", None)
    async with running() as server:
        yield server


@pytest_asyncio.fixture(loop_scope="session")
async def realm(keycloak: Keycloak) -> AsyncIterator[Realm]:
    name = f"bank-{next(_REALMS)}"
    await keycloak.admin("POST", "", bank(name))
    yield Realm(keycloak, name)
