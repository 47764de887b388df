"""Keeps each issuer's keys current: at the start, by period, and when a token names one that is not known."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Final, Protocol

import aiohttp

from gateway.config import Identity, Issuer
from gateway.identity import Discovery, JwksClient, KeySet
from gateway.identity.jwks_client import Discovering, Signer
from gateway.keeping import keep_running

_PATIENCE: Final = 0.8  # seconds that a request waits for keys, less than the edge waits for an answer
_RETRY: Final = 5.0  # seconds between fetches from an issuer that is unreachable
_SHARE: Final = 4  # fetches in the time for which keys count: one that fails does no harm


class Keyring(Protocol):
    """Who uses the keys."""

    def put_keys(self, issuer: str, keys: KeySet) -> None:
        """Replace an issuer's keys."""
        ...


class SignersKeys:
    """The JWKS clients of all who sign something, feeding one keyring. `discoveries`: by name."""

    def __init__(
        self,
        signers: Sequence[Signer],
        discoveries: Mapping[str, Discovering],
        keyring: Keyring,
        session: aiohttp.ClientSession,
    ) -> None:
        self._issuers = {signer.issuer: signer for signer in signers}
        self._clients = {
            name: JwksClient(signer, session, discoveries[name], partial(keyring.put_keys, name))
            for name, signer in self._issuers.items()
        }

    async def fetch(self, issuer: str) -> None:
        """Renew one issuer's keys; many askers at once make one fetch. Returns in less than a second, come what may."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE):
                await self._clients[issuer].refresh()

    async def keep(self) -> None:
        """Fetch all now and by period, until cancelled; each issuer's keys are kept, and fail, alone."""
        async with asyncio.TaskGroup() as tasks:
            for issuer in self._clients:
                tasks.create_task(keep_running(f"jwks:{issuer}", partial(self._keep, issuer)))

    async def _keep(self, issuer: str) -> None:
        client, period = self._clients[issuer], self._issuers[issuer].keys_seconds / _SHARE
        while True:
            await client.refresh()
            await asyncio.sleep(min(period, _RETRY) if client.failing else period)


class Keys(SignersKeys):
    """Those of the issuers of access tokens."""

    def __init__(self, settings: Identity, keyring: Keyring, session: aiohttp.ClientSession) -> None:
        self.discoveries = {issuer.issuer: _discovery(issuer, session) for issuer in settings.issuers}
        super().__init__(settings.issuers, self.discoveries, keyring, session)


def _discovery(issuer: Issuer, session: aiohttp.ClientSession) -> Discovery:
    return Discovery(issuer.issuer, session, issuer.keys_seconds)
