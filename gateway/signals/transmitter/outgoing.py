"""What goes out of a stream, and what comes back for it: jobs of the writer's, as the rules are."""

from __future__ import annotations

import structlog

from gateway.signals.transmitter.endpoint import target
from gateway.signals.transmitter.errors import err_of, refused
from gateway.signals.transmitter.poll import Poll
from gateway.signals.transmitter.rules import Rules
from gateway.signals.transmitter.store import Store, Waiting
from gateway.signals.transmitter.stream import UNKNOWN, Push, Refused

_log = structlog.get_logger()


def settled(rules: Rules, receiver: str, name: str, asked: Poll, store: Store) -> list[Waiting] | Refused:
    """What a poll gets, once what it reports is done with: one event more than it wants, where there is one."""
    before = looked(rules, receiver, name, 0, store)
    if isinstance(before, Refused):
        return before
    store.settle(name, asked.acknowledged, "delivered")
    for jti in [entry for entry in asked.refused if store.waits(name, entry)]:
        said = asked.refused[jti]
        store.settle(name, [jti], refused(name, jti, err_of(said) or "", said.get("description")))
    return looked(rules, receiver, name, asked.most, store)


def looked(rules: Rules, receiver: str, name: str, most: int, store: Store) -> list[Waiting] | Refused:
    """What a poll gets that has nothing to report."""
    stream = store.stream(name, receiver)
    return rules.deliverable(store, stream, most + 1) if stream and stream.push is None else UNKNOWN


def first_push(rules: Rules, name: str, store: Store) -> tuple[Waiting, Push] | None:
    """What is pushed next in a stream, and where; None if there is nothing, or the stream does not push."""
    stream = store.stream(name)
    receiver = rules.receivers.get(stream.receiver) if stream else None
    if stream is None or receiver is None or stream.push is None:
        return None
    url = target(stream.push.url, receiver.push_prefixes)
    if url is None:  # the configuration has changed since
        _log.warning("push is not allowed any more", stream=name, receiver=receiver.id)
        return None
    found = rules.deliverable(store, stream, 1)
    return (found[0], Push(url, stream.push.authorization)) if found else None
