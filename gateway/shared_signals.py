"""Who tells us that something changed, and whom we tell: the endpoints of signals, in and out, and who serves them."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

import aiohttp
from starlette.datastructures import Headers

from gateway.config import Config, SignalsTransmitter
from gateway.decision_api import Bounds, serve_unix
from gateway.edge import SIGNALS_SOCKET, TRANSMITTER_SOCKET
from gateway.identification import Identification
from gateway.identity import Credentials, Missing, Refusal, subject_of
from gateway.keeping import keep_running
from gateway.sessions import Cut, Session
from gateway.signalling import Signalling
from gateway.signals import Receiving, read_push_tokens
from gateway.signals.transmitter import (
    LARGEST,
    Initiator,
    Told,
    Transmitter,
    session_revoked,
    transmitter_application,
)
from gateway.transactions import SigningKeys
from policy import Principal

_RECEIVED: Final = Bounds(2 << 20, 10.0)  # more than the largest event, so that the RFC's own error is the answer
_TOLD: Final = Bounds(LARGEST, 30.0)  # longer than a poll may wait
_CONNECTIONS: Final = 64


class SharedSignals:
    """Made by `open`; `run` serves until cancelled."""

    def __init__(
        self, config: Config, identification: Identification, receiving: Receiving | None, telling: Transmitter | None
    ) -> None:
        self._config = config
        self._identification = identification
        self._receiving = receiving
        self._telling = telling
        self._last: tuple[str, set[str]] = ("", set())  # the cut that is told of now, and whose sessions already were

    @classmethod
    async def open(
        cls,
        config: Config,
        session: aiohttp.ClientSession,
        signalling: Signalling,
        identification: Identification,
        signing: SigningKeys,
    ) -> SharedSignals:
        """With what the configuration names. Raises OSError and ValueError for files that cannot be used."""
        receiving = None
        if config.signals.transmitters or config.signals.logout:
            tokens = await asyncio.to_thread(read_push_tokens, config.signals)
            receiving = Receiving(
                config,
                session,
                signalling.receive,
                identification.identifier.keys_of,
                identification.fetch,
                tokens,
                secrets.token_bytes(32),
            )
        telling = None
        if config.signals_transmitter is not None:
            telling = await _transmitter(config.state, config.signals_transmitter, signing, session)
        return cls(config, identification, receiving, telling)

    async def run(self, socket: Callable[[str], Path]) -> None:
        """Serve both sides on the sockets of these names, each alone; until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            if self._receiving is not None:
                application = self._receiving.application
                tasks.create_task(self._receiving.keep())
                serving = partial(serve_unix, application, socket(SIGNALS_SOCKET), _RECEIVED, _CONNECTIONS)
                tasks.create_task(keep_running("signals", serving))
            if self._telling is not None:
                application = transmitter_application(self._telling, self._receiver)
                tasks.create_task(keep_running("transmitter", self._telling.run))
                serving = partial(serve_unix, application, socket(TRANSMITTER_SOCKET), _TOLD, _CONNECTIONS)
                tasks.create_task(keep_running("transmitter-api", serving))

    async def close(self) -> None:
        """Give the transmitter's file back."""
        if self._telling is not None:
            await self._telling.close()

    def cut(self, session: Session, cut: Cut, now: float) -> None:
        """A session was cut at `now` (Unix seconds): those who listen are told, of each subject once."""
        if self._telling is None:
            return
        if self._last[0] != cut.id:
            self._last = (cut.id, set())
        subject = session.request.principal.id
        if subject not in self._last[1]:
            self._last[1].add(subject)
            self._telling.publish(told(session, cut, now))

    async def _receiver(self, headers: Headers) -> str | None:
        """Which of the configured receivers asks; None for everybody else."""
        shown = Credentials(headers.get("authorization", ""), headers.get("x-forwarded-client-cert", ""))
        identifier = self._identification.identifier
        answer: Principal | Refusal | Missing = identifier.identify(shown, time.time())
        if not isinstance(answer, Principal | Refusal):
            await self._identification.ask(answer)
            answer = identifier.identify(shown, time.time())
        settings = self._config.signals_transmitter
        known = {receiver.id for receiver in settings.receivers} if settings else set()
        return answer.id if isinstance(answer, Principal) and answer.id in known else None


def told(session: Session, cut: Cut, now: float) -> Told:
    """What others learn of a cut: whose session it was, and why (CAEP 1.0, section 3.1)."""
    principal = session.request.principal
    subject = {"format": "iss_sub", "iss": principal.issuer, "sub": subject_of(principal)}
    by: Initiator = "admin" if cut.signal == "analyst" else "policy"
    return session_revoked(subject, cut.id, now, by, cut.reason)


async def _transmitter(
    state: Path, settings: SignalsTransmitter, signing: SigningKeys, session: aiohttp.ClientSession
) -> Transmitter:
    file = state / "signals-transmitter.db"
    return await Transmitter.open(file, settings, lambda: signing.ring.signer(time.time()), session)
