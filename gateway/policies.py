"""The policy of the running gateway: loaded from where the configuration says, reloaded as a whole or not at all."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol, Self

import structlog

from gateway.config import OpaServer as OpaSettings
from gateway.config import Policy
from gateway.marks import UNMARKED, Marks
from policy import (
    Bundle,
    Compiling,
    Limits,
    OpaServer,
    OpaTls,
    Outside,
    Pdp,
    PolicyError,
    Problem,
    Revision,
    compile_bundle,
    embedded_pdp,
    opa_pdp,
    packed,
    read_bundle,
    release,
)

_log = structlog.get_logger()


class Others(Protocol):
    """Those who decide by the same policy in other processes: they have a revision before it is live."""

    async def prepare(self, revision: str, content: bytes) -> None:
        """Have it everywhere, compiled; `content` is the packed bundle. Raises OSError."""
        ...

    def activate(self, revision: str) -> None:
        """It is live."""
        ...


@dataclass(frozen=True)
class Rules:
    """Compiled ahead of the gateway that will decide by them, and the settings that they were compiled by."""

    settings: Policy
    revision: Revision  # with no document

    @classmethod
    def ahead(cls, settings: Policy) -> Self:
        """Takes seconds. Raises PolicyError."""
        sources = read_bundle(settings.paths).sources
        return cls(settings, compile_bundle(Bundle(sources, {}), compiling(settings)))


class Policies:
    """Owns the PDP. Reading and compiling happen in a thread, never on the loop."""

    def __init__(self, settings: Policy, pdp: Pdp, bundle: Bundle, others: Others | None = None) -> None:
        self.pdp = pdp
        self._settings = settings
        self._bundle = replace(bundle, text="")  # which others have been given
        self._others = others
        self._reloading = asyncio.Lock()
        self.marks: Marks = UNMARKED  # told when another revision is live

    @classmethod
    async def load(cls, settings: Policy, others: Others | None = None, rules: Rules | None = None) -> Self:
        """Start with the configured policy; `rules` are taken where they are still the configured ones. Raises
        PolicyError; OSError where `others` cannot be given it.
        """
        bundle = await asyncio.to_thread(read_bundle, settings.paths, settings.data)
        how = compiling(settings)
        if settings.engine == "opa":
            pdp = await asyncio.to_thread(opa_pdp, bundle, _server(settings.opa), how)
        else:
            before = rules.revision if rules is not None and rules.settings == settings else None
            pdp = await asyncio.to_thread(embedded_pdp, bundle, how, before)
        if others is not None:
            await others.prepare(pdp.revision, await asyncio.to_thread(packed, bundle))
            others.activate(pdp.revision)
        return cls(settings, pdp, bundle, others)

    async def aclose(self) -> None:
        """Give up a remote engine's connections."""
        await self.pdp.aclose()

    async def reload(self) -> Sequence[Problem]:
        """Read, check and compile again; on success it is live when this returns. Problems leave the old one alone.
        Data that has not changed is not read again.
        """
        async with self._reloading:
            before = self._bundle.data
            try:
                await self._replace()
            except PolicyError as error:
                _log.error("policy refused, the running one stays", problems=[str(each) for each in error.problems])
                return error.problems
        _log.info("policy live", revision=self.pdp.revision)
        if before is not self._bundle.data:
            await asyncio.to_thread(release, before)
        return ()

    async def _replace(self) -> None:
        gc.disable()  # it would walk all of a large document, again and again, while that is being built
        try:
            where = self._settings.paths, self._settings.data
            bundle = await asyncio.to_thread(read_bundle, *where, self._bundle)
            revision = await asyncio.to_thread(compile_bundle, bundle, compiling(self._settings))
        finally:
            gc.enable()
        await self._prepare(revision, bundle)
        self.pdp.activate(revision)
        if self._others is not None:
            self._others.activate(revision.id)
        self.marks.everything()
        self._bundle = replace(bundle, text="")
        gc.freeze()  # the document lives on

    async def _prepare(self, revision: Revision, bundle: Bundle) -> None:
        """Raises PolicyError where it cannot be had elsewhere: then it is live nowhere."""
        if self._others is not None:
            try:
                await self._others.prepare(revision.id, await asyncio.to_thread(packed, bundle))
            except OSError as error:
                raise PolicyError([Problem("policy", 0, 0, f"cannot be given to judges: {error}")]) from error


def compiling(settings: Policy) -> Compiling:
    """How the configuration wants rules compiled."""
    return Compiling(
        front=settings.frontend,
        opa=settings.opa_path,
        strict=settings.strict_builtin_errors,
        limits=Limits(settings.limits.max_steps, settings.limits.max_milliseconds / 1000),
        outside=Outside(settings.outside.runtime, settings.outside.hosts),
    )


def compile_policy(settings: Policy) -> Revision:
    """Read and compile as the gateway would. Takes seconds. Raises PolicyError."""
    return compile_bundle(read_bundle(settings.paths, settings.data), compiling(settings))


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
