"""Keeps each issuer's keys current: at the start, by period, and when a token names one that is not known."""

from __future__ import annotations

import asyncio
from functools import partial

import aiohttp

from gateway.config import Identity
from gateway.identity import Identifier, JwksClient
from gateway.keeping import keep_running

_PERIOD = 300.0  # seconds; a key that an issuer removed is trusted no longer than this


class Keys:
    """The JWKS clients of all issuers, feeding one identifier."""

    def __init__(self, settings: Identity, identifier: Identifier, session: aiohttp.ClientSession) -> None:
        self._identifier = identifier
        self._clients = {issuer.issuer: JwksClient(issuer, session) for issuer in settings.issuers}

    async def fetch(self, issuer: str) -> None:
        """Renew one issuer's keys; many askers at once make one fetch."""
        client = self._clients[issuer]
        if await client.refresh():
            self._identifier.put_keys(issuer, client.keys)

    async def keep(self) -> None:
        """Fetch all now and by period, until cancelled; each issuer's keys are kept, and fail, alone."""
        async with asyncio.TaskGroup() as tasks:
            for issuer in self._clients:
                tasks.create_task(keep_running(f"jwks:{issuer}", partial(self._keep, issuer)))

    async def _keep(self, issuer: str) -> None:
        while True:
            await self.fetch(issuer)
            await asyncio.sleep(_PERIOD)
