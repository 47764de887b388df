"""Checks of the guard's limits that take more than one value to make."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from gateway.config import Config
from gateway.yaml_document import Key


def guard(config: Config) -> Iterator[tuple[Key, str]]:
    """What does not fit together."""
    limits = config.guard
    for index, text in enumerate(limits.never_block_addresses):
        try:
            ipaddress.ip_network(text)
        except ValueError as error:
            yield ("guard", "never_block_addresses", index), str(error)
    for name in ("share", "count", "most"):
        if getattr(limits, f"approval_{name}") < getattr(limits, f"blast_radius_{name}"):
            yield ("guard", f"approval_{name}"), f"is below blast_radius_{name}: a canary would need approval"
    for name in ("blast_radius", "approval"):
        if getattr(limits, f"{name}_most") < getattr(limits, f"{name}_count"):
            yield ("guard", f"{name}_most"), f"is below {name}_count"
