"""A double's digits by Go's formatting verbs, without its sign."""

from __future__ import annotations

import math
import re
from decimal import Decimal
from typing import Final

from policy.rego.big_float import general

VERBS: Final = "vbgGxXfFeE"
_BITS: Final = 52  # of a double's fraction
_EXPONENT: Final = re.compile("[pP].*|[eE].*")
_HEX_EXPONENT: Final = re.compile("[pP].*")


def digits(verb: str, value: float, precision: int | None, sharp: bool) -> str:
    """Of a number that is not negative. With `sharp` there is a point in any case, and zeros at the end stay."""
    if precision is None and verb in "eEfF":
        precision = 6
    text = _plain("g" if verb == "v" else verb, value, precision)
    return _pointed(verb, text, precision) if sharp and verb != "b" else text


def _plain(verb: str, value: float, precision: int | None) -> str:
    if verb == "b":
        return _binary(value)
    if verb in "xX":
        text = _hexadecimal(value, precision)
        return text.upper() if verb == "X" else text
    if precision is None:
        text = _shortest(value)
        return text.upper() if verb == "G" else text
    return f"%.{precision}{verb}" % value


def _shortest(value: float) -> str:
    _, places, exponent = Decimal(repr(value)).as_tuple()
    text = "".join(map(str, places))
    return general(text.rstrip("0"), len(text) + int(exponent)) if value else "0"


def _binary(value: float) -> str:
    exponent = max(math.frexp(value)[1] - 1, -1022) if value else -1022
    return f"{int(math.ldexp(value, _BITS - exponent))}p{exponent - _BITS:+d}"


def _hexadecimal(value: float, precision: int | None) -> str:
    fraction, exponent = math.frexp(value)
    mantissa, exponent = int(fraction * (2 << _BITS)), exponent - 1 if value else 0
    if precision is not None and precision < _BITS // 4:
        dropped = _BITS - 4 * precision
        mantissa = round(mantissa / (1 << dropped)) << dropped
        if mantissa >> _BITS > 1:
            mantissa, exponent = mantissa >> 1, exponent + 1
    places = f"{mantissa % (1 << _BITS):013x}"
    places = places.rstrip("0") if precision is None else places[:precision].ljust(precision, "0")
    return f"0x{mantissa >> _BITS}{'.' if places else ''}{places}p{exponent:+03d}"


def _pointed(verb: str, text: str, precision: int | None) -> str:
    found = (_HEX_EXPONENT if verb in "xX" else _EXPONENT).search(text)
    head, tail = (text[: found.start()], found[0]) if found else (text, "")
    wanted = (6 if precision is None else precision) if verb in "vgGx" else 0
    wanted -= len(head.replace(".", "").lstrip("0"))
    if "." not in head:
        wanted -= head == "0"
        head += "."
    return f"{head}{'0' * wanted}{tail}"
