"""opa-python-client with what it leaves out: trust of our own, a pool of a stated size, numbers without loss."""

from __future__ import annotations

import json
import ssl
from typing import Any

import aiohttp
import msgspec
from opa_client import AsyncOpaClient

from policy.engines.server import OpaServer, OpaTls
from policy.rego.json_text import decode, encode


class OpaClient(AsyncOpaClient):  # type: ignore[misc]  # untyped
    """`timeout` is the seconds of one request. Reads the TLS files: make it in a thread. Raises OSError (ssl.SSLError
    too) where they cannot be used.
    """

    def __init__(self, server: OpaServer, timeout: float) -> None:
        super().__init__(
            host=server.host,
            port=server.port,
            token=server.token,
            ssl=server.tls is not None,
            retries=0,
            timeout=timeout,
        )
        self._pool = server.pool
        self._trust = _trust(server.tls) if server.tls else True

    async def _init_session(self) -> None:
        """As the library does it, which knows neither an authority nor a limit."""
        self._connector = aiohttp.TCPConnector(limit=self._pool, ssl=self._trust)
        self._session = aiohttp.ClientSession(
            headers=self.headers,
            connector=self._connector,
            timeout=aiohttp.ClientTimeout(total=self.timeout),
            json_serialize=_written,
            response_class=_Response,
        )


class _Response(aiohttp.ClientResponse):
    """Answers to questions are read as policy reads JSON; what OPA says of itself nests deeper."""

    async def json(self, **how: Any) -> Any:
        how["loads"] = decode if self.method == "POST" else json.loads
        return await super().json(**how)


def _written(value: Any) -> str:
    """A question, number for number as it came; or a patch, which may hold all of our data, as fast as can be."""
    return encode(value) if type(value) is dict else _PATCH.encode(value).decode()


_PATCH = msgspec.json.Encoder(enc_hook=lambda numeral: msgspec.Raw(numeral.text.encode()))


def _trust(tls: OpaTls) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=tls.ca)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if tls.certificate is not None:
        context.load_cert_chain(tls.certificate, tls.key)
    return context
