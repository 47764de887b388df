"""Identification with all that it asks of others: issuers' keys and their word on opaque tokens, agents' key
directories. What comes in is put into the identifier, which does no I/O.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from itertools import chain

import aiohttp
import msgspec

from gateway.agents import Registry, Vetting
from gateway.config import Config, Issuer, Service, TokenService
from gateway.directories import Directories
from gateway.identity import Identifier, Introspector, KeySet, Missing, Opaque, Proofs
from gateway.identity.access_token import Trust
from gateway.identity.bearer import Answers
from gateway.keys import Keys
from policy import Principal


class Identification:
    """The identifier, and those who keep it current."""

    def __init__(
        self,
        config: Config,
        agents: Registry,
        session: aiohttp.ClientSession,
        changed: Callable[[str], None] = lambda issuer: None,
        told: Callable[[str, KeySet], None] = lambda issuer, keys: None,
    ) -> None:
        """`changed` hears of each issuer whose keys have changed, after `told` was given them."""
        self._changed = changed
        self._told = told
        settings = config.identity
        self._directories = Directories(settings.signatures, session)
        self._introspectors: dict[str, Introspector] = {}
        vetting = Vetting(agents, settings.agents_required, settings.realm)
        self.secret, self.born = secrets.token_bytes(32), time.time()
        proofs = Proofs(settings, self._directories, self.secret, self.born)
        self._own = config.token_service
        self._issuers = settings.issuers
        self.identifier = identifier_of(config, vetting, proofs, self._introspectors)
        self._keys = Keys(settings, self, session)
        for issuer in settings.issuers:
            if issuer.introspection is not None:
                self._introspectors[issuer.issuer] = Introspector(
                    issuer,
                    issuer.introspection,
                    session,
                    self._keys.discoveries[issuer.issuer],
                    (issuer.audience, *_audiences(config.services)),
                    settings.max_chain,
                )

    async def ask(self, missing: Missing) -> None:
        """Ask an issuer for what was missing. Returns in less than a second, come what may."""
        if isinstance(missing, Opaque):
            await self._introspectors[missing.issuer].ask(missing.token)
        else:
            await self._keys.fetch(missing.issuer)

    async def fetch(self, issuer: str) -> None:
        """Renew an issuer's keys. Returns in less than a second, come what may."""
        await self._keys.fetch(issuer)

    async def renewed(self, issuer: str, token: str) -> Principal | None:
        """What an issuer says now of an opaque token; None where it does not vouch for anybody."""
        introspector = self._introspectors.get(issuer)
        answer = await introspector.ask(token) if introspector else None
        return answer if isinstance(answer, Principal) else None

    def put_keys(self, issuer: str, keys: KeySet) -> None:
        """Replace an issuer's keys, and tell."""
        if self.identifier.put_keys(issuer, keys):
            self._told(issuer, keys)
            self._changed(issuer)

    def put_services(self, services: Mapping[str, Service]) -> None:
        """Tokens may be meant for these services now, and for no others."""
        wanted = audiences_of(self._issuers, self._own, services)
        for issuer, introspector in self._introspectors.items():
            introspector.put_audiences(wanted[issuer])
        self.identifier.put_audiences(wanted)

    def put_own_keys(self, jwks: bytes) -> None:
        """The keys of the tokens that we issue ourselves, where we do."""
        if self._own is not None:
            self.put_keys(self._own.issuer, KeySet.parse(msgspec.json.decode(jwks)))

    async def keep(self) -> None:
        """Keep keys current, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._keys.keep())
            tasks.create_task(self._directories.keep())


def identifier_of(config: Config, agents: Vetting, proofs: Proofs, answers: Mapping[str, Answers]) -> Identifier:
    """The identifier of a configuration; `answers`: what issuers say of opaque tokens, by issuer."""
    audiences = _audiences(config.services)
    ours = _ourselves(config.token_service, audiences)
    return Identifier(config.identity, agents, proofs, answers, audiences, ours)


def audiences_of(
    issuers: Iterable[Issuer], own: TokenService | None, services: Mapping[str, Service]
) -> Mapping[str, Collection[str]]:
    """What tokens must be meant for where these services are, by issuer; `own` is ourselves as one."""
    audiences = _audiences(services)
    wanted: dict[str, Collection[str]] = {one.issuer: (one.audience, *audiences) for one in issuers}
    ours = _ourselves(own, audiences)
    return wanted | ({ours.issuer.issuer: ours.audiences} if ours else {})


def _audiences(services: Mapping[str, Service]) -> tuple[str, ...]:
    return tuple(one.audience for one in services.values() if one.audience)


def _ourselves(own: TokenService | None, audiences: Collection[str]) -> Trust | None:
    """What we are as an issuer, whose keys need not be fetched; its tokens are for services, or narrowed to less."""
    if own is None:
        return None
    issuer = Issuer(issuer=own.issuer, audience=own.issuer, algorithms=("ES256",), leeway_seconds=0)
    narrowed = chain(own.audiences, *own.audiences.values())
    return Trust(issuer, KeySet(), (*audiences, *narrowed), ours=True)
