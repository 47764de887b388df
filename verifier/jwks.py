"""The gateway's keys, kept current: fetched in a thread, once for all who wait, and not more often than every so often
however many tokens name keys that nobody knows.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from http.client import HTTPException
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import HTTPDefaultErrorHandler, HTTPErrorProcessor, HTTPHandler, HTTPSHandler, OpenerDirector

from verifier.keys import Keys, read_keys
from verifier.transaction import NotVerified, key_id

_LARGEST = 1 << 18  # bytes of a JWK Set
_TIMEOUT = 5.0  # seconds for the source to answer
_LONGEST_WAIT = 10.0  # seconds that anybody waits for a fetch
_log = logging.getLogger(__name__)


class Jwks:
    """Keys from a file or an http(s) URL, which must not redirect. They are read again after `period` seconds, and when
    a token names one that is not there, but at most once in `pause` seconds. While the source does not answer they
    count for `bound` seconds. `tls` says which authorities may vouch for an https source, none means the system's:
    `ssl.create_default_context(cafile=…)`. Raises ValueError for a URL of another kind.
    """

    def __init__(
        self,
        source: str | Path,
        *,
        pause: float = 3.0,
        period: float = 300.0,
        bound: float = 3600.0,
        tls: ssl.SSLContext | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read = _reader(source, tls)
        self._pause, self._period, self._bound = pause, period, bound
        self._clock = clock
        self._lock = threading.Lock()
        self._known: Keys = {}
        self._fetched = self._tried = float("-inf")
        self._trouble = "not fetched yet"
        self._flight: Future[None] | None = None

    def keys(self, token: str) -> Keys:
        """The keys to verify a token with; waits for a fetch where it names one that is not known. Raises NotVerified
        where there are none, or where the token is no transaction token.
        """
        if (flight := self._needed(key_id(token))) is not None:
            wait([flight], _LONGEST_WAIT)
        return self._current()

    async def keys_async(self, token: str) -> Keys:
        """The same without blocking the event loop."""
        if (flight := self._needed(key_id(token))) is not None:
            await asyncio.wait([asyncio.wrap_future(flight)], timeout=_LONGEST_WAIT)
        return self._current()

    def _current(self) -> Keys:
        if self._clock() - self._fetched < self._bound:
            return self._known
        raise NotVerified(f"the gateway's keys are not known: {self._trouble}")

    def _needed(self, kid: str) -> Future[None] | None:
        """The fetch that must be waited for to know a key; one that only renews known keys goes on by itself."""
        with self._lock:
            now = self._clock()
            age = now - self._fetched
            missing = kid not in self._known or age >= self._bound
            if self._flight is None and now - self._tried >= self._pause and (missing or age >= self._period):
                self._flight = self._started()
            return self._flight if missing else None

    def _started(self) -> Future[None]:
        flight: Future[None] = Future()
        flight.set_running_or_notify_cancel()  # from here on nobody who waits can cancel it for the others
        threading.Thread(target=self._fetch, args=(flight,), name="jwks", daemon=True).start()
        return flight

    def _fetch(self, flight: Future[None]) -> None:
        keys, trouble = None, ""
        try:
            keys = read_keys(self._read())
        except (OSError, ValueError, HTTPException) as error:
            trouble = f"{type(error).__name__}: {error}"
            _log.warning("the gateway's keys could not be fetched: %s", trouble)
        finally:
            with self._lock:
                self._tried = self._clock()
                self._trouble = trouble
                self._flight = None
                if keys is not None:
                    self._known, self._fetched = keys, self._tried
            flight.set_result(None)


def _reader(source: str | Path, tls: ssl.SSLContext | None) -> Callable[[], bytes]:
    if isinstance(source, Path) or "://" not in source:
        return lambda: _bounded(Path(source).read_bytes())
    if urlsplit(source).scheme not in ("http", "https"):
        raise ValueError(f"keys come from a file or an http(s) URL, not from {source}")
    opener = OpenerDirector()  # no proxy, no redirect: the keys come from where it was said, or not at all
    for handler in (HTTPHandler(), HTTPSHandler(context=tls), HTTPDefaultErrorHandler(), HTTPErrorProcessor()):
        opener.add_handler(handler)

    def read() -> bytes:
        with opener.open(source, timeout=_TIMEOUT) as answer:
            return _bounded(answer.read(_LARGEST + 1))

    return read


def _bounded(text: bytes) -> bytes:
    if len(text) > _LARGEST:
        raise ValueError(f"a JWK Set of more than {_LARGEST} bytes")
    return text
