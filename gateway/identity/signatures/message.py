"""The request that was signed, as the gateway received it."""

from __future__ import annotations

import msgspec


class Message(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One request. Nothing is decoded or normalised: what the caller sent is what it signed. Header values are bytes
    read as Latin-1.
    """

    method: str
    scheme: str  # "https", as the caller saw it
    authority: str  # Host or :authority
    path: str  # percent-encoded
    query: str | None = None  # percent-encoded, without its "?"; None where there is no "?"
    headers: tuple[tuple[str, str], ...] = ()  # name and value, in order, one for each line
    body: bytes | None = None  # the whole content, b"" for none; None where nobody has read it
    unread: bool = False  # there is content that nobody has read to its end, whatever method and headers say

    def values(self, name: str) -> list[str]:
        """The values of a field by its name in lower case, one for each line, without the blanks around them."""
        return [value.strip(" \t") for held, value in self.headers if held.lower() == name]
