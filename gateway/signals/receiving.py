"""All that receives signals in this gateway, made from its configuration."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

import aiohttp

from gateway.config import Config, Signals, Transmitter
from gateway.edge import EVENTS_PATH
from gateway.identity import KeySet
from gateway.keeping import keep_running
from gateway.keys import SignersKeys
from gateway.signals.application import signals_application
from gateway.signals.asking import Asking
from gateway.signals.deliveries import Deliver
from gateway.signals.logout import Logouts
from gateway.signals.poller import Poller
from gateway.signals.receiver import Fetch, Outcome, Receiver
from gateway.signals.stream import Stream
from gateway.signals.transmitter_metadata import TransmitterDiscovery, TransmitterMetadata

_SHORTEST_TOKEN: Final = 16


def read_push_tokens(settings: Signals) -> dict[str, str]:
    """By issuer, what a transmitter must show when it pushes. Raises OSError and ValueError for a file without it."""
    return {one.issuer: token for one in settings.transmitters if (token := _push_token(one))}


def _push_token(settings: Transmitter) -> str:
    if settings.push_token_file is None:
        return settings.push_token.get_secret_value() if settings.push_token else ""
    token = settings.push_token_file.read_text(encoding="ascii").strip()
    if len(token) < _SHORTEST_TOKEN or not token.isprintable() or " " in token:
        raise ValueError(f"{settings.push_token_file}: a push token has at least {_SHORTEST_TOKEN} visible characters")
    return token


class Receiving:
    """The endpoints, the transmitters' keys, our streams and those that are polled. `deliver` returns once events are
    durable. `keys` and `fetch`: of the issuers whose logout tokens count. `push_tokens` as `read_push_tokens` reads
    them; `secret`: 16 to 64 random bytes.
    """

    def __init__(
        self,
        config: Config,
        session: aiohttp.ClientSession,
        deliver: Deliver,
        keys: Callable[[str], KeySet],
        fetch: Fetch,
        push_tokens: Mapping[str, str],
        secret: bytes,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = config.signals
        self._session = session
        self._push_tokens = push_tokens
        self.receiver = Receiver(config.signals, push_tokens, self._fetch, deliver, secret, clock)
        self.application = signals_application(self.receiver, Logouts(config, keys, fetch, deliver, secret, clock))
        transmitters = config.signals.transmitters
        self._discoveries = {one.issuer: self._discovery(one) for one in transmitters}
        self._keys = SignersKeys(transmitters, self._discoveries, self.receiver, session)
        self.streams = {one.issuer: self._stream(one) for one in transmitters if one.delivery != "unmanaged"}

    async def keep(self) -> None:
        """Keep keys and streams current, and poll, until cancelled; each transmitter fails alone."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._keys.keep())
            for issuer, stream in self.streams.items():
                tasks.create_task(keep_running(f"stream:{issuer}", stream.keep))
            for one in self._settings.transmitters:
                if one.delivery == "poll":
                    tasks.create_task(keep_running(f"poll:{one.issuer}", partial(self._poll, one)))

    async def _fetch(self, issuer: str) -> None:
        await self._keys.fetch(issuer)

    def _discovery(self, settings: Transmitter) -> TransmitterDiscovery:
        def put(metadata: TransmitterMetadata) -> None:
            self.receiver.put_critical(settings.issuer, metadata.critical_subject_members)

        return TransmitterDiscovery(settings.issuer, self._session, settings.keys_seconds, put)

    def _stream(self, settings: Transmitter) -> Stream:
        issuer = settings.issuer
        stream = Stream(
            settings,
            Asking(settings, self._session),
            self._discoveries[issuer].metadata,
            f"{self._settings.url or ''}{EVENTS_PATH}",
            self._push_tokens.get(issuer, ""),
        )
        self.receiver.put_notice(issuer, stream.notice)
        return stream

    async def _poll(self, settings: Transmitter) -> None:
        stream, issuer = self.streams[settings.issuer], settings.issuer
        await stream.established()

        async def receive(token: str, jti: str) -> Outcome:
            return await self.receiver.polled(token, issuer, jti)

        await Poller(issuer, stream.poll_url, Asking(settings, self._session), receive).run()
