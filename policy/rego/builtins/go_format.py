"""One value by one of Go's formatting verbs, as its package `fmt` has them: integers, doubles and texts."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Final

from policy.rego.builtins import go_floats
from policy.rego.builtins.operands import octets
from policy.rego.rego_text import quoted

Argument = int | float | str

_BASES = {"v": ("d", ""), "d": ("d", ""), "s": ("d", "")}  # Python's verb, and the prefix with `#`
_BASES |= {"b": ("b", "0b"), "o": ("o", "0"), "O": ("o", "0"), "x": ("x", "0x"), "X": ("X", "0X")}
_NOT_RAW: Final = re.compile("[`\x00-\x08\x0a-\x1f\x7f\ufeff\ud800-\udfff]")  # not between backquotes


@dataclass(slots=True)
class Field:
    """Flags, width and precision of one verb. For `%#v` and `%+v` only `typed` and `named` are set, as Go does it."""

    minus: bool = False
    plus: bool = False
    sharp: bool = False
    space: bool = False
    zero: bool = False
    typed: bool = False
    named: bool = False
    width: int | None = None
    precision: int | None = None

    def padded(self, text: str, *, zeros: bool = True) -> str:
        """Text in the field; zeros fill it on the left if the flag says so."""
        width = self.width or 0
        return text.ljust(width) if self.minus else text.rjust(width, "0" if self.zero and zeros else " ")


def formatted(field: Field, verb: str, value: Argument) -> str:
    """A value by a verb, or Go's complaint that the verb does not fit."""
    if verb == "T":
        return _text(field, "s", type_name(value))
    if isinstance(value, str):
        return _text(field, verb, value) if verb in "vsxXq" else _complaint(field, verb, value)
    if isinstance(value, float):
        return _real(field, verb, value) if verb in go_floats.VERBS else _complaint(field, verb, value)
    if _long(value):
        return _big(field, verb, value)
    if verb in "vdboOxX":
        return _integer(field, verb, value)
    return _character(field, verb, value) if verb in "cqU" else _complaint(field, verb, value)


def type_name(value: Argument) -> str:
    """Go's name of the type."""
    if isinstance(value, int):
        return "*big.Int" if _long(value) else "int64"
    return "float64" if isinstance(value, float) else "string"


def _long(value: int) -> bool:
    return not -1 << 63 <= value < 1 << 63


def _complaint(field: Field, verb: str, value: Argument) -> str:
    return f"%!{verb}({type_name(value)}={formatted(field, 'v', value)})"


def _text(field: Field, verb: str, value: str) -> str:
    if verb in "xX":
        return _hexadecimal(field, verb, octets(value))
    value = value[: field.precision]
    if verb != "q" and not field.typed:
        return field.padded(value)
    if field.sharp and not _NOT_RAW.search(value):
        return field.padded(f"`{value}`")
    return field.padded(quoted(value, ascii_only=field.plus))


def _hexadecimal(field: Field, verb: str, data: bytes) -> str:
    data = data[: field.precision]
    prefix = f"0{verb}" if field.sharp and data else ""
    digits = [f"{one:02X}" if verb == "X" else f"{one:02x}" for one in data]
    return field.padded(prefix + (f" {prefix}" if field.space else "").join(digits))


def _sign(field: Field, negative: bool) -> str:
    return "-" if negative else "+" if field.plus else " " if field.space else ""


def _integer(field: Field, verb: str, value: int) -> str:
    code, prefix = _BASES[verb]
    sign, digits = _sign(field, value < 0), format(abs(value), code)
    if field.precision == 0 and value == 0:
        return " " * (field.width or 0)
    if field.precision is not None:
        digits = digits.rjust(field.precision, "0")
    elif field.zero and not field.minus and field.width is not None:
        digits = digits.rjust(field.width - len(sign), "0")
    if field.sharp and not (prefix == "0" and digits[0] == "0"):
        digits = prefix + digits
    return field.padded(f"{sign}{'0o' if verb == 'O' else ''}{digits}", zeros=False)


def _big(field: Field, verb: str, value: int) -> str:
    if verb in "wp":
        return _complaint(field, verb, value)
    if verb not in _BASES:
        return f"%!{verb}(big.Int={value})"
    code, prefix = _BASES[verb]
    sign = "+" if field.named and value > 0 else _sign(field, value < 0)
    start = sign + ("0o" if verb == "O" else prefix if field.sharp else "")
    digits = format(abs(value), code).rjust(field.precision or 0, "0")
    if field.zero and not field.minus and field.precision is None:
        digits = digits.rjust((field.width or 0) - len(start), "0")
    return field.padded(start + digits, zeros=False)


def _character(field: Field, verb: str, value: int) -> str:
    valid = 0 <= value < 0xD800 or 0xE000 <= value < 0x110000
    one = chr(value) if valid else "\ufffd"
    if verb == "c":
        return field.padded(one)
    if verb == "q":
        return field.padded(quoted(one, ascii_only=field.plus, quote="'"))
    digits = format(value % (1 << 64), "X").rjust(max(4, field.precision or 0), "0")
    shown = f" '{one}'" if field.sharp and valid and one.isprintable() else ""
    return field.padded(f"U+{digits}{shown}", zeros=False)


def _real(field: Field, verb: str, value: float) -> str:
    text = go_floats.digits(verb, abs(value), field.precision, field.sharp)
    sign = _sign(field, math.copysign(1.0, value) < 0)
    if field.zero and not field.minus and field.width is not None:
        text = text.rjust(field.width - len(sign), "0")
    return field.padded(sign + text)
