"""Asks the issuer for the tokens of the cast."""

from __future__ import annotations

import aiohttp

from deploy.demo.cast import LEDGER_BOT, agent
from deploy.demo.issuer import ACCESS_TOKEN, EXCHANGE


class Tokens:
    """A client of the demo's issuer."""

    def __init__(self, url: str, secret: str) -> None:
        self._url = url
        self._secret = secret

    async def person(self, name: str, acr: str = "pwd") -> str:
        """A person's token; `acr` says how strongly she logged in. Raises PermissionError."""
        return await self._grant(grant_type="password", username=name, acr_values=acr)

    async def agent(self, name: str) -> str:
        """A token with which an agent acts for its person: two logins and an exchange (RFC 8693)."""
        who = agent(name)
        if who is None:
            raise PermissionError(f"no such agent: {name}, try {LEDGER_BOT}")
        subject = await self.person(who.acts_for)
        actor = await self._grant(grant_type="client_credentials", client_id=name)
        kinds = {"subject_token_type": ACCESS_TOKEN, "actor_token_type": ACCESS_TOKEN}
        return await self._grant(grant_type=EXCHANGE, subject_token=subject, actor_token=actor, **kinds)

    async def rotate(self) -> str:
        """Make the issuer sign with a new key; its key id."""
        headers = {"authorization": f"Bearer {self._secret}"}
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"{self._url}/admin/rotate", headers=headers) as got,
        ):
            return str((await got.json())["kid"])

    async def _grant(self, **form: str) -> str:
        form["client_secret"] = self._secret
        async with aiohttp.ClientSession() as session, session.post(f"{self._url}/token", data=form) as response:
            told = await response.json()
        if response.status != 200:
            raise PermissionError(f"{told['error']}: {told['error_description']}")
        return str(told["access_token"])
