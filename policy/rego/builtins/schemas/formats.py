"""Formats that a schema may ask of a text, as loose or strict as OPA has them. An unknown format fits any text."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Any, Final

import re2

from policy.rego.builtins import urls
from policy.rego.builtins.operands import legible
from policy.rego.builtins.regexes import compiled
from policy.rego.values import UNDEFINED

_DATE: Final = re2.compile(r"(\d{4})-(\d\d)-(\d\d)")
_TIME: Final = re2.compile(r"(?:[01]?\d|2[0-3]):[0-5]\d:[0-5]\d(?:[.,]\d+)?(Z|[+-](?:[01]\d|2[0-4]):(?:[0-5]\d|60))?")
_DAYS: Final = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_LABEL: Final = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]{0,61}[a-zA-Z0-9])"
_HOST: Final = re2.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_UUID: Final = re2.compile(r"(?i:[a-f0-9]{8}(?:-[a-f0-9]{4}){3}-[a-f0-9]{12})")
_POINTER: Final = re2.compile(r"(?:/(?:[^~/]|~0|~1)*)*")
_RELATIVE_POINTER: Final = re2.compile(r"(?:0|[1-9][0-9]*)(?:#|(?:/(?:[^~/]|~0|~1)*)*)")
_TEMPLATE: Final = re2.compile(r"(?:[^{]*(?:\{[^}]*\})?)*")
_ATOM: Final = r"[\w!#$%&'*+/=?^`{|}~\x{80}-\x{10FFFF}-]+"
_QUOTED: Final = r'"(?:[^"\\\r\n]|\\.)*"'
_DOTTED: Final = rf"{_ATOM}(?:\.{_ATOM})*"
_ADDRESS: Final = rf"(?:{_DOTTED}|{_QUOTED})@(?:{_DOTTED}|\[[^\]\\\s]+\])"
_MAIL: Final = re2.compile(rf"[ \t]*(?:{_ADDRESS}|(?:(?:{_ATOM}|{_QUOTED}|\.)[ \t]*)*<{_ADDRESS}>)[ \t]*")


def fits(name: str, text: str) -> bool:
    """Whether a text is of a format."""
    return bool(_FORMATS[name](legible(text))) if name in _FORMATS else True


def _date(text: str) -> bool:
    found = _DATE.fullmatch(text)
    if not found:
        return False
    year, month, day = map(int, found.groups())
    leap = month != 2 or day < 29 or (year % 4 == 0 and (year % 100 != 0 or year % 400 == 0))
    return 1 <= month <= 12 and 1 <= day <= _DAYS[month - 1] and leap


def _time(text: str) -> bool:
    return _TIME.fullmatch(text) is not None


def _moment(text: str) -> bool:
    """A date, a time, or both; then the time needs a zone."""
    date, mark, time = text.partition("T")
    if not mark:
        return _date(text) or _time(text)
    found = _TIME.fullmatch(time)
    return _date(date) and found is not None and found[1] is not None


def _address(mark: str) -> Callable[[str], bool]:
    def fits(text: str) -> bool:
        try:
            return mark in text and "%" not in text and bool(ipaddress.ip_address(text).packed)
        except ValueError:
            return False

    return fits


def _reference(text: str) -> bool:
    return "\\" not in text and urls.parse(text) is not UNDEFINED


def _uri(text: str) -> bool:
    return _reference(text) and "scheme" in urls.parse(text)


def _template(text: str) -> bool:
    return _reference(text) and _TEMPLATE.fullmatch(urls.parse(text).get("path", "")) is not None


def _whole(pattern: Any, longest: int | None = None) -> Callable[[str], bool]:
    return lambda text: pattern.fullmatch(text) is not None and (longest is None or len(text) <= longest)


_FORMATS: Final[dict[str, Callable[[str], Any]]] = {
    "date": _date,
    "time": _time,
    "date-time": _moment,
    "hostname": _whole(_HOST, 255),
    "email": _whole(_MAIL),
    "idn-email": _whole(_MAIL),
    "ipv4": _address("."),
    "ipv6": _address(":"),
    "uri": _uri,
    "iri": _uri,
    "uri-reference": _reference,
    "iri-reference": _reference,
    "uri-template": _template,
    "uuid": _whole(_UUID),
    "regex": lambda text: compiled(text) is not UNDEFINED,
    "json-pointer": _whole(_POINTER),
    "relative-json-pointer": _whole(_RELATIVE_POINTER),
}
