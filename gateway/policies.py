"""The policy of the running gateway: loaded from where the configuration says, reloaded as a whole or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Self

import structlog

from gateway.config import OpaServer as OpaSettings
from gateway.config import Policy
from policy import (
    OpaServer,
    OpaTls,
    Pdp,
    PolicyError,
    Problem,
    compile_bundle,
    embedded_pdp,
    opa_pdp,
    read_bundle,
)

_log = structlog.get_logger()


class Policies:
    """Owns the PDP. Reading and compiling happen in a thread, never on the loop."""

    def __init__(self, settings: Policy, pdp: Pdp) -> None:
        self.pdp = pdp
        self._settings = settings
        self._reloading = asyncio.Lock()

    @classmethod
    async def load(cls, settings: Policy) -> Self:
        """Start with the configured policy. Raises PolicyError."""
        bundle = await asyncio.to_thread(read_bundle, settings.paths, settings.data)
        if settings.engine == "opa":
            return cls(settings, await asyncio.to_thread(opa_pdp, bundle, _server(settings.opa)))
        return cls(settings, await asyncio.to_thread(embedded_pdp, bundle))

    async def aclose(self) -> None:
        """Give up a remote engine's connections."""
        await self.pdp.aclose()

    async def reload(self) -> Sequence[Problem]:
        """Read, check and compile again; on success it is live when this returns. Problems leave the old one alone."""
        async with self._reloading:
            try:
                bundle = await asyncio.to_thread(read_bundle, self._settings.paths, self._settings.data)
                revision = await asyncio.to_thread(compile_bundle, bundle)
            except PolicyError as error:
                _log.error("policy refused, the running one stays", problems=[str(each) for each in error.problems])
                return error.problems
            self.pdp.activate(revision)
            _log.info("policy live", revision=self.pdp.revision)
            return ()


def _server(settings: OpaSettings) -> OpaServer:
    return OpaServer(
        host=settings.host,
        port=settings.port,
        token=settings.token.get_secret_value() if settings.token else None,
        tls=OpaTls(**dict(settings.tls)) if settings.tls else None,
        timeout=settings.timeout_ms / 1000,
        pool=settings.pool,
        failures=settings.failures,
        pause=settings.pause_ms / 1000,
    )
