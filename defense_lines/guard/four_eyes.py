"""Four eyes: who asked for a block and who approves it are two, by the account that the kernel vouches for and by name.

An author is "detector:access", or "analyst:" and a name: an account, or what somebody calls themselves "as" an account.
"""

from __future__ import annotations

import unicodedata

_AS = " as "


def account(author: str) -> str:
    """What the kernel vouches for; of an author that is no person, all of it."""
    return author.partition(":")[2].rpartition(_AS)[2] if _is_person(author) else author


def same_person(one: str, other: str) -> bool:
    """Whether two authors may be one person: they share an account, or a name."""
    if not (_is_person(one) and _is_person(other)):
        return one == other
    return _names(one).isdisjoint(_names(other)) is False


def _is_person(author: str) -> bool:
    return author.startswith("analyst:")


def _names(author: str) -> set[str]:
    """The account, and the name by which they go: neither may be the other's."""
    name = author.partition(":")[2]
    stated, _, kernel = name.rpartition(_AS)
    return {_folded(kernel), _folded(stated or kernel)}


def _folded(name: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())
