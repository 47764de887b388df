"""Gathers what the files and agents say, and tells when it changed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

from gateway.config import Tls, TrustDomain
from gateway.edge import TlsMaterial
from gateway.identity.spiffe import Bundle, Revoked, read_bundle
from gateway.keeping import keep_running
from gateway.trust.agent import Agent
from gateway.trust.pem import authorities, revocation_lists, server_certificate
from gateway.trust.watched import Watched, by_period

_FILES_PERIOD = 1.0  # seconds
_AGENT_PERIOD = 5.0  # seconds


class Trust:
    """The present state; `changed` is called after each change of it, on the event loop."""

    def __init__(
        self,
        tls: Tls | None,
        domains: Sequence[TrustDomain],
        changed: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.material: TlsMaterial | None = None  # none without TLS, and while something that it takes is not known
        # By trust domain; empty while not known, absent where whose certificates it has is for another edge to know.
        self.bundles: Mapping[str, Bundle] = {}
        self._domains = domains
        self._changed = changed
        self._server = Watched([tls.certificate, tls.key], server_certificate) if tls else None
        self._authorities = Watched([tls.client_ca], authorities) if tls and tls.client_ca else None
        self._revoked = Watched([tls.crl], revocation_lists) if tls and tls.crl else None
        self._files = {domain.name: Watched([domain.bundle], read_bundle) for domain in domains if domain.bundle}
        self._lists = {domain.name: Watched([domain.crl], revocation_lists) for domain in domains if domain.crl}
        self._agents = _agents(domains, clock)
        self._own = [domain.name for domain in domains if domain.bundle or domain.workload_api]

    @property
    def vouching(self) -> Sequence[Bundle] | None:
        """All that a client certificate may stand on; None where this edge asks for no certificates."""
        if self._authorities is None and not self._own:
            return None
        return (self._general(), *(self.bundles[name] for name in self._own))

    async def look(self) -> None:
        """Look at every file and ask every agent, once."""
        for agent in self._agents:
            await agent.ask()
        await self._look_at_files()

    async def keep(self) -> None:
        """Look at files and ask agents by period, until cancelled; each agent is kept, and fails, alone."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(keep_running("trust", partial(by_period, _FILES_PERIOD, self._look_at_files)))
            for agent in self._agents:
                asking = partial(by_period, _AGENT_PERIOD, partial(self._ask, agent))
                tasks.create_task(keep_running(f"workload-api:{agent.socket}", asking))

    async def _ask(self, agent: Agent) -> None:
        await agent.ask()
        self._renew()

    async def _look_at_files(self) -> None:
        single = (self._server, self._authorities, self._revoked)
        for watched in (*single, *self._files.values(), *self._lists.values()):
            if watched is not None:
                await asyncio.to_thread(watched.look)
        self._renew()

    def _renew(self) -> None:
        before = self.bundles, self.material
        self.bundles = dict(self._known())
        self.material = self._material()
        if before != (self.bundles, self.material):
            self._changed()

    def _known(self) -> Iterator[tuple[str, Bundle]]:
        told = {name: bundle for agent in self._agents for name, bundle in agent.bundles.items()}
        for domain in self._domains:
            if domain.name in self._own:
                file = self._files.get(domain.name)
                bundle = file.value if file else told.get(domain.name)
                yield domain.name, _with_lists(bundle, self._lists.get(domain.name))
            elif self._authorities or self._own:
                yield domain.name, self._general()

    def _general(self) -> Bundle:
        """Who vouches for certificates of domains without a bundle of their own, and of no domain at all."""
        return _with_lists(self._authorities.value if self._authorities else None, self._revoked)

    def _material(self) -> TlsMaterial | None:
        if self._server is None or self._server.value is None:
            return None
        certificate, key = self._server.value
        if self.vouching is None:
            return TlsMaterial(certificate, key)
        return TlsMaterial(certificate, key, b"".join(bundle.pem for bundle in self.vouching))


def _with_lists(bundle: Bundle | None, lists: Watched[Revoked] | None) -> Bundle:
    """A bundle, with what its authorities revoked. While that is not known, none of them vouches for anybody."""
    known = bundle or Bundle()
    if lists is None:
        return known
    return replace(known, revoked=lists.value) if lists.value else replace(known, authorities=())


def _agents(domains: Sequence[TrustDomain], clock: Callable[[], float]) -> list[Agent]:
    sockets = sorted({domain.workload_api for domain in domains if domain.workload_api})
    return [
        Agent(socket, [domain.name for domain in domains if domain.workload_api == socket], clock) for socket in sockets
    ]
