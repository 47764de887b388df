"""State-of-the-world discovery as a pure state machine: requests in, pushes out, no socket and no clock.

Rules. A push has a nonce; a request that carries another nonce than the last push of its type is stale and
ignored. A request with that nonce accepts the push, or with an error refuses it. A type is pushed when what an
Envoy holds is not what it should hold, in `ORDER`, each only after the one before was accepted; but secrets do not wait
for clusters, which an Envoy accepts when they can be used, and that may take a secret. Refused content is never sent to
the same Envoy again until the next `publish`, and a refusal brings everybody back to the last good snapshot.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from gateway.edge.snapshot import (
    CLUSTER,
    LISTENER,
    NOTHING,
    ORDER,
    PREFIX,
    ROUTES,
    SECRET,
    Resources,
    Snapshot,
    version_of,
)


@dataclass(frozen=True, slots=True)
class Request:
    """What an Envoy says: a subscription (no nonce), an acceptance, or a refusal (with an error)."""

    type_url: str
    version: str = ""
    nonce: str = ""
    names: frozenset[str] = frozenset()  # empty or "*" for all
    error: str = ""


@dataclass(frozen=True, slots=True)
class Push:
    """One response to one stream."""

    stream: int
    type_url: str
    version: str
    nonce: str
    resources: Resources


@dataclass(frozen=True, slots=True)
class EdgeState:
    """What the edge runs on, for readiness and for people."""

    desired: str  # version that should be live, empty before the first publish
    accepted: str  # newest version that an Envoy holds completely, empty if none yet
    last_error: str  # why the last published version was refused, empty if it was not
    envoys: int  # connected now
    rejections: int  # refusals since start


@dataclass(slots=True)
class _Subscription:
    names: frozenset[str]
    held: Resources = field(default_factory=dict)
    nonce: str = ""
    sent: Resources | None = None  # pushed and not yet answered
    refused: Resources | None = None
    confirmed: bool = False  # it said what it holds: nothing yet, or a version of ours


_Stream = dict[str, _Subscription]


@dataclass(slots=True)
class Discovery:
    """Every connected Envoy's subscriptions, and the snapshot that all of them should hold."""

    goal: Snapshot | None = None
    good: Snapshot | None = None
    last_error: str = ""
    rejections: int = 0
    _nonces: int = 0
    _streams: dict[int, _Stream] = field(default_factory=dict)

    def publish(self, snapshot: Snapshot) -> list[Push]:
        """Make this snapshot the goal; what has to be sent now."""
        self.goal, self.last_error = snapshot, ""
        for subscription in self._subscriptions():
            subscription.refused = None
        return self._advance_all()

    def opened(self, stream: int) -> None:
        """An Envoy connected. `stream` is any number not in use."""
        self._streams[stream] = {}

    def closed(self, stream: int) -> None:
        """It went away."""
        self._streams.pop(stream, None)

    def received(self, stream: int, request: Request) -> list[Push]:
        """An Envoy spoke; what has to be sent now, to whomever. Stale requests and types not ours change nothing."""
        if request.type_url not in ORDER or stream not in self._streams:
            return []
        subscription = self._streams[stream].get(request.type_url)
        if subscription is None:
            self._streams[stream][request.type_url] = self._subscribed(request)
        elif request.nonce != subscription.nonce:
            return []
        elif request.error and subscription.sent is not None:
            return self._refused(stream, request)
        else:
            _accepted(subscription, request)
        return self._progressed(stream)

    def applied(self, version: str) -> bool:
        """Whether this version is the goal and every connected Envoy, at least one, holds it completely."""
        return self._is_goal(version) and bool(self._streams) and all(map(self._complete, self._streams.values()))

    def state(self) -> EdgeState:
        """The state, for people."""
        return EdgeState(
            desired=self.goal.version if self.goal else "",
            accepted=self.good.version if self.good else "",
            last_error=self.last_error,
            envoys=len(self._streams),
            rejections=self.rejections,
        )

    def _subscribed(self, request: Request) -> _Subscription:
        # An Envoy that outlived a gateway says which version it holds: equal content need not be sent again.
        subscription = _Subscription(names=request.names)
        wanted = _chosen(self.goal, request.type_url, request.names)
        if request.version and request.version == version_of(wanted):
            subscription.held, subscription.confirmed = wanted, True
        return subscription

    def _refused(self, stream: int, request: Request) -> list[Push]:
        subscriptions = self._streams[stream]
        subscription = subscriptions[request.type_url]
        subscription.refused, subscription.sent = subscription.sent, None
        self.rejections += 1
        if subscription.refused != self._wanted(subscriptions, request.type_url):
            return self._advance(stream)  # an earlier goal's content: the present one has yet to be tried
        self.last_error = f"{request.type_url.removeprefix(PREFIX)}: {request.error}"
        self.goal = self.good or self.goal
        return self._advance_all()

    def _progressed(self, stream: int) -> list[Push]:
        pushes = self._advance(stream)
        if self._complete(self._streams[stream]):
            self.good = self.goal
        return pushes

    def _advance_all(self) -> list[Push]:
        return [push for stream in self._streams for push in self._advance(stream)]

    def _advance(self, stream: int) -> list[Push]:
        for type_url in ORDER if self.goal else ():
            due = self._due(stream, type_url)
            if due is not None:
                return due or (self._due(stream, SECRET) or [] if type_url == CLUSTER else [])
        return []

    def _due(self, stream: int, type_url: str) -> list[Push] | None:
        """What is to be pushed of a type; nothing while that is not answered, or refused; None if all is there."""
        subscriptions = self._streams[stream]
        subscription = subscriptions.get(type_url)
        if subscription is None:
            return None
        wanted = self._wanted(subscriptions, type_url)
        if subscription.sent is not None or wanted == subscription.refused:
            return []
        if wanted != subscription.held or not subscription.confirmed:
            return [self._push(stream, type_url, subscription, wanted)]
        return None

    def _push(self, stream: int, type_url: str, subscription: _Subscription, wanted: Resources) -> Push:
        self._nonces += 1
        subscription.nonce, subscription.sent = str(self._nonces), wanted
        return Push(stream, type_url, version_of(wanted), subscription.nonce, wanted)

    def _wanted(self, subscriptions: _Stream, type_url: str) -> Resources:
        """What this Envoy should hold now: clusters that its routes may still name stay until the routes changed."""
        subscription = subscriptions[type_url]
        wanted = _chosen(self.goal, type_url, subscription.names)
        if type_url != CLUSTER or all(self._settled(subscriptions, other) for other in (LISTENER, ROUTES)):
            return wanted
        return {**subscription.held, **wanted}

    def _settled(self, subscriptions: _Stream, type_url: str) -> bool:
        subscription = subscriptions.get(type_url)
        if subscription is None:
            return not _chosen(self.goal, type_url, frozenset())
        wanted = _chosen(self.goal, type_url, subscription.names)
        return subscription.confirmed and subscription.sent is None and subscription.held == wanted

    def _complete(self, subscriptions: _Stream) -> bool:
        return self.goal is not None and all(self._settled(subscriptions, type_url) for type_url in ORDER)

    def _is_goal(self, version: str) -> bool:
        return self.goal is not None and self.goal.version == version

    def _subscriptions(self) -> Iterator[_Subscription]:
        return (subscription for stream in self._streams.values() for subscription in stream.values())


def _accepted(subscription: _Subscription, request: Request) -> None:
    if subscription.sent is not None:
        subscription.held, subscription.sent, subscription.confirmed = subscription.sent, None, True
    subscription.names = request.names


def _chosen(snapshot: Snapshot | None, type_url: str, names: frozenset[str]) -> Resources:
    resources = snapshot.of(type_url) if snapshot else NOTHING
    if not names or "*" in names:
        return resources
    return {name: resources[name] for name in sorted(names) if name in resources}
