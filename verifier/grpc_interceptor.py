"""For grpcio servers, sync and aio: no call without a transaction gets in. Handlers ask `current()`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextvars import ContextVar, copy_context
from inspect import isasyncgenfunction, iscoroutinefunction
from typing import Any

import grpc

from verifier.jwks import Jwks
from verifier.transaction import HEADER, NotVerified, Transaction, verify

_CURRENT: ContextVar[Transaction] = ContextVar("portcullis.transaction")
_REFUSED = grpc.StatusCode.UNAUTHENTICATED


def current() -> Transaction:
    """The transaction of the call that is being handled. Raises LookupError outside of one."""
    return _CURRENT.get()


class TransactionInterceptor(grpc.ServerInterceptor):  # type: ignore[misc]  # grpc has no types
    """For `grpc.server(…, interceptors=[…])`."""

    def __init__(self, keys: Jwks, *, issuer: str, audience: str) -> None:
        self._keys = keys
        self._issuer = issuer
        self._audience = audience

    def intercept_service(self, continuation: Callable[[Any], Any], details: Any) -> Any:
        """Guard one call. The token is verified in the handler's own thread, where a fetch of keys blocks nobody."""
        handler = continuation(details)
        if handler is None:
            return None
        inner = getattr(handler, _kind(handler))

        def one(request: Any, context: Any) -> Any:
            return self._held(details, context).run(inner, request, context)

        def many(request: Any, context: Any) -> Iterator[Any]:
            held = self._held(details, context)
            answers = iter(held.run(inner, request, context))
            done = object()
            while (answer := held.run(next, answers, done)) is not done:
                yield answer

        return _like(handler, many if handler.response_streaming else one)

    def _held(self, details: Any, context: Any) -> Any:
        """A context that holds the transaction; a thread of the pool keeps nothing of it."""
        try:
            token = _shown(details)
            transaction = verify(token, self._keys.keys(token), issuer=self._issuer, audience=self._audience)
        except NotVerified as error:
            context.abort(_REFUSED, str(error))
        held = copy_context()
        held.run(_CURRENT.set, transaction)
        return held


class AioTransactionInterceptor(grpc.aio.ServerInterceptor):  # type: ignore[misc]  # grpc has no types
    """For `grpc.aio.server(interceptors=[…])`, whose handlers must be async."""

    def __init__(self, keys: Jwks, *, issuer: str, audience: str) -> None:
        self._keys = keys
        self._issuer = issuer
        self._audience = audience

    async def intercept_service(self, continuation: Callable[[Any], Awaitable[Any]], details: Any) -> Any:
        """Guard one call. Raises TypeError for a handler that is not async."""
        handler = await continuation(details)
        if handler is None:
            return None
        inner = getattr(handler, _kind(handler))

        async def one(request: Any, context: Any) -> Any:
            await self._hold(details, context)
            return await inner(request, context)

        async def many(request: Any, context: Any) -> AsyncIterator[Any]:
            await self._hold(details, context)
            async for answer in inner(request, context):
                yield answer

        if isasyncgenfunction(inner):
            return _like(handler, many)
        if iscoroutinefunction(inner):
            return _like(handler, one)
        raise TypeError(f"the handler of {details.method} is not async")

    async def _hold(self, details: Any, context: Any) -> None:
        """Keep the transaction for the task of this call."""
        try:
            token = _shown(details)
            keys = await self._keys.keys_async(token)
            _CURRENT.set(verify(token, keys, issuer=self._issuer, audience=self._audience))
        except NotVerified as error:
            await context.abort(_REFUSED, str(error))


def _shown(details: Any) -> str:
    shown = [value for name, value in details.invocation_metadata if name == HEADER]
    if len(shown) != 1 or not isinstance(shown[0], str):
        raise NotVerified(f"{len(shown)} {HEADER} entries in the metadata, not one")
    return shown[0]


def _kind(handler: Any) -> str:
    sides = (handler.request_streaming, handler.response_streaming)
    return "_".join("stream" if streaming else "unary" for streaming in sides)


def _like(handler: Any, behaviour: Callable[..., Any]) -> Any:
    made = getattr(grpc, f"{_kind(handler)}_rpc_method_handler")
    return made(behaviour, handler.request_deserializer, handler.response_serializer)
