"""Whom a token is for: services by their names (`audience`), or by a URL at one (`resource`, RFC 8707)."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from itertools import chain
from typing import Final

from gateway.token_service.request import ExchangeRequest

_URL: Final = re.compile(r"https?://[^/?#]+[^#]*\Z")  # RFC 8707 section 2: absolute, without a fragment


def targets(
    request: ExchangeRequest, held: Collection[str], configured: Mapping[str, Sequence[str]]
) -> tuple[str, ...]:
    """The audiences of what is asked for; none if one of them is not within `held`, the subject token's own, or what
    that is `configured` to be narrowed to. Who asks for none in particular gets the token's own.
    """
    known = {*configured, *chain.from_iterable(configured.values())}
    allowed = known & {*held, *chain.from_iterable(configured.get(name, ()) for name in held)}
    asked = (*request.audience, *(_audience_of(url, known) for url in request.resource))
    wanted = tuple(dict.fromkeys(asked)) or tuple(sorted(known & {*held}))
    return wanted if allowed.issuperset(wanted) else ()


def _audience_of(url: str, known: Collection[str]) -> str:
    """The audience at whose URL a resource lies, the most special of several; "" if there is none."""
    if not _URL.match(url):
        return ""
    fitting = [name for name in known if "://" in name and (url == name or url.startswith(name.rstrip("/") + "/"))]
    return max(fitting, key=len, default="")
