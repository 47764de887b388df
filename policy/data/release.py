"""Gives up a document that nobody uses any more."""

from __future__ import annotations

from typing import Any


def release(document: Any) -> None:
    """Take a document apart, container by container: other threads go on meanwhile, where dropping it whole would stop
    them all for as long as a million values take. Call it in a thread.
    """
    waiting = [document]
    while waiting:
        container = waiting.pop()
        while container:
            held = container.popitem()[1] if type(container) is dict else container.pop()
            if type(held) is dict or type(held) is list:
                waiting.append(held)
