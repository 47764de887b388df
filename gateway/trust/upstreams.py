"""What TLS to the services behind the edge stands on, from files that are watched."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Self

from gateway.config import Service, ServiceTls
from gateway.edge import ServiceMaterial
from gateway.identity.spiffe import Bundle
from gateway.keeping import keep_running
from gateway.trust.pem import authorities, server_certificate
from gateway.trust.watched import Watched, by_period

_PERIOD = 1.0  # seconds


class Upstreams:
    """The present state, by service; `changed` is called after each change of it, on the event loop."""

    def __init__(self, services: Mapping[str, Service], changed: Callable[[], None]) -> None:
        self.material: Mapping[str, ServiceMaterial] = {}  # of those with TLS whose files can be used
        self._changed = changed
        self._files = _files(services)

    def unusable(self) -> list[str]:
        """Services with TLS that cannot be reached, for their files cannot be used."""
        return sorted(self._files.keys() - self.material.keys())

    def beside(self, services: Mapping[str, Service]) -> Self:
        """The same for other services, whose files nobody has looked at yet, and of which nobody is told."""
        return type(self)(services, lambda: None)

    def become(self, other: Upstreams) -> None:
        """Go on with the services of another, and what it knows of them; nobody is told."""
        self.material, self._files = other.material, other._files

    async def look(self) -> None:
        """Look at every file once."""
        files = self._files
        for each in files.values():
            await asyncio.to_thread(each.look)
        if files is self._files:
            self._renew()

    async def keep(self) -> None:
        """Look at files by period, until cancelled."""
        await keep_running("upstreams", partial(by_period, _PERIOD, self.look))

    def _renew(self) -> None:
        before, self.material = self.material, dict(self._usable())
        if before != self.material:
            self._changed()

    def _usable(self) -> Iterator[tuple[str, ServiceMaterial]]:
        for name, files in self._files.items():
            material = files.material()
            if material is not None:
                yield name, material


@dataclass(frozen=True, slots=True)
class _Files:
    """Of one service."""

    authorities: Watched[Bundle]
    own: Watched[tuple[bytes, bytes]] | None

    @classmethod
    def of(cls, tls: ServiceTls) -> Self:
        own = Watched([tls.certificate, tls.key], server_certificate) if tls.certificate and tls.key else None
        return cls(Watched([tls.ca], authorities), own)

    def look(self) -> None:
        self.authorities.look()
        if self.own is not None:
            self.own.look()

    def material(self) -> ServiceMaterial | None:
        known = self.authorities.value
        if known is None or (self.own is not None and self.own.value is None):
            return None
        certificate, key = self.own.value if self.own is not None and self.own.value else (b"", b"")
        return ServiceMaterial(known.pem, certificate, key)


def _files(services: Mapping[str, Service]) -> dict[str, _Files]:
    return {name: _Files.of(service.tls) for name, service in services.items() if service.tls}
