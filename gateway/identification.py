"""Identification with all that it asks of others: issuers' keys and their word on opaque tokens, agents' key
directories. What comes in is put into the identifier, which does no I/O.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from itertools import chain
from typing import Final

import aiohttp
import msgspec

from gateway.agents import Registry, Vetting
from gateway.config import Config, HttpSignatures, Issuer, TokenService
from gateway.identity import Identifier, Introspector, KeySet, Missing, Opaque, Proofs
from gateway.identity.access_token import Trust
from gateway.identity.jwk import PublicKey
from gateway.identity.signatures import DirectoryClient
from gateway.keeping import keep_running
from gateway.keys import Keys

_SHARE: Final = 4  # fetches in the time for which a directory counts: one that fails does no harm


class Identification:
    """The identifier, and those who keep it current."""

    def __init__(self, config: Config, agents: Registry, session: aiohttp.ClientSession) -> None:
        settings = config.identity
        self._directories = _Directories(settings.signatures, session)
        self._introspectors: dict[str, Introspector] = {}
        vetting = Vetting(agents, settings.agents_required, settings.realm)
        proofs = Proofs(settings, self._directories, secrets.token_bytes(32), time.time())
        audiences = tuple(one.audience for one in config.services.values() if one.audience)
        self._own = config.token_service
        self.identifier = Identifier(
            settings, vetting, proofs, self._introspectors, audiences, _ourselves(self._own, audiences)
        )
        self._keys = Keys(settings, self.identifier, session)
        for issuer in settings.issuers:
            if issuer.introspection is not None:
                self._introspectors[issuer.issuer] = Introspector(
                    issuer,
                    issuer.introspection,
                    session,
                    self._keys.discoveries[issuer.issuer],
                    (issuer.audience, *audiences),
                    settings.max_chain,
                )

    async def ask(self, missing: Missing) -> None:
        """Ask an issuer for what was missing. Returns in less than a second, come what may."""
        if isinstance(missing, Opaque):
            await self._introspectors[missing.issuer].ask(missing.token)
        else:
            await self._keys.fetch(missing.issuer)

    def put_own_keys(self, jwks: bytes) -> None:
        """The keys of the tokens that we issue ourselves, where we do."""
        if self._own is not None:
            self.identifier.put_keys(self._own.issuer, KeySet.parse(msgspec.json.decode(jwks)))

    async def keep(self) -> None:
        """Keep keys current, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._keys.keep())
            tasks.create_task(self._directories.keep())


def _ourselves(own: TokenService | None, audiences: Collection[str]) -> Trust | None:
    """What we are as an issuer, whose keys need not be fetched; its tokens are for services, or narrowed to less."""
    if own is None:
        return None
    issuer = Issuer(issuer=own.issuer, audience=own.issuer, algorithms=("ES256",), leeway_seconds=0)
    narrowed = chain(own.audiences, *own.audiences.values())
    return Trust(issuer, KeySet(), (*audiences, *narrowed), ours=True)


class _Directories:
    """The keys that agents sign with, of every configured directory."""

    def __init__(self, settings: HttpSignatures | None, session: aiohttp.ClientSession) -> None:
        origins: Sequence[str] = settings.directories if settings else ()
        self._keep = settings.keep_seconds if settings else 0
        self._clients = [DirectoryClient(origin, session, self._keep) for origin in origins]
        self._merged: tuple[int, Mapping[str, PublicKey]] = (0, {})

    def at(self, now: float) -> Mapping[str, PublicKey]:
        """The keys that count at `now` (Unix seconds), by thumbprint; looked up once a second."""
        if self._merged[0] != int(now):
            keys = {name: key for client in self._clients for name, key in client.keys(now).items()}
            self._merged = (int(now), keys)
        return self._merged[1]

    async def keep(self) -> None:
        """Fetch all now and by period, until cancelled; each is kept, and fails, alone."""
        async with asyncio.TaskGroup() as tasks:
            for client in self._clients:
                tasks.create_task(keep_running(f"directory:{client.origin}", partial(self._fetch, client)))

    async def _fetch(self, client: DirectoryClient) -> None:
        while True:
            await client.refresh()
            self._merged = (0, {})
            await asyncio.sleep(self._keep / _SHARE)
