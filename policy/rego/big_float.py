"""Binary floating point of a stated precision, as Go's `math/big.Float` has it: OPA's arithmetic on what is no integer.

Every operation is rounded to the nearest, ties to even; the text is the shortest that gives the value back.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

BITS: Final = 64
MAX_EXPONENT: Final = 14_284  # of 2, about 4300 digits; what is beyond has no text


class Float(NamedTuple):
    """(-1) ** negative * mantissa * 2 ** exponent."""

    negative: bool
    mantissa: int
    exponent: int


def rounded(value: Float, bits: int = BITS) -> Float:
    """To a mantissa of so many bits."""
    negative, mantissa, exponent = value
    extra = mantissa.bit_length() - bits
    if extra <= 0:
        return value
    half = 1 << extra - 1
    kept, rest = mantissa >> extra, mantissa & (2 * half - 1)
    if rest > half or (rest == half and kept & 1):
        kept += 1
    return Float(negative, kept, exponent + extra)


@lru_cache(maxsize=4096)
def parse(text: str) -> Float:
    """Of a number's text. Powers of five are rounded to 128 bits first, as Go does it."""
    digits, _, power = text.lower().partition("e")
    whole, _, fraction = digits.partition(".")
    tens = int(power or 0) - len(fraction)
    value = Float(text[0] == "-", abs(int(whole + fraction)), tens)
    if tens == 0 or not value.mantissa:
        return rounded(value)
    return divide(value, _power_of_five(-tens)) if tens < 0 else multiply(value, _power_of_five(tens))


@lru_cache(maxsize=1024)
def _power_of_five(power: int) -> Float:
    if power <= 27:  # the last that 64 bits hold
        return Float(False, 5**power, 0)
    result, factor, rest = Float(False, 5**27, 0), Float(False, 5, 0), power - 27
    while rest:
        if rest & 1:
            result = multiply(result, factor, 128)
        factor = multiply(factor, factor, 192)
        rest >>= 1
    return result


def add(x: Float, y: Float) -> Float:
    """`x + y`."""
    lowest = min(x.exponent, y.exponent)
    total = _signed(x) * (1 << x.exponent - lowest) + _signed(y) * (1 << y.exponent - lowest)
    return rounded(Float(total < 0, abs(total), lowest))


def subtract(x: Float, y: Float) -> Float:
    """`x - y`."""
    return add(x, Float(not y.negative, y.mantissa, y.exponent))


def multiply(x: Float, y: Float, bits: int = BITS) -> Float:
    """`x * y`."""
    return rounded(Float(x.negative != y.negative, x.mantissa * y.mantissa, x.exponent + y.exponent), bits)


def divide(x: Float, y: Float) -> Float:
    """`x / y`. Raises ZeroDivisionError."""
    shift = max(0, BITS + 2 + y.mantissa.bit_length() - x.mantissa.bit_length())
    quotient, rest = divmod(x.mantissa << shift, y.mantissa)
    # one bit more stands for all that is left over
    return rounded(Float(x.negative != y.negative, quotient << 1 | (rest > 0), x.exponent - y.exponent - shift - 1))


def truncated(value: Float) -> int:
    """The integer part."""
    whole = value.mantissa << value.exponent if value.exponent >= 0 else value.mantissa >> -value.exponent
    return -whole if value.negative else whole


def text(value: Float, bits: int = BITS) -> str:
    """An integer in full; otherwise Go's `%g`. Raises ValueError if it has too many digits."""
    sign = "-" if value.negative else ""
    if not value.mantissa:
        return f"{sign}0"
    if abs(value.exponent + value.mantissa.bit_length()) > MAX_EXPONENT:
        raise ValueError("too many digits")
    digits, point = _shortest(value, bits)
    return sign + (digits.ljust(point, "0") if _whole(value) else general(digits, point))


def general(digits: str, point: int) -> str:
    """0.DIGITS * 10 ** point as Go's `%g` writes it."""
    if not -4 < point <= 6:
        fraction = f".{digits[1:]}" if len(digits) > 1 else ""
        return f"{digits[0]}{fraction}e{point - 1:+03d}"
    if point <= 0:
        return f"0.{'0' * -point}{digits}"
    return f"{digits[:point]}.{digits[point:]}" if len(digits) > point else digits.ljust(point, "0")


def _signed(value: Float) -> int:
    return -value.mantissa if value.negative else value.mantissa


def _whole(value: Float) -> bool:
    return value.exponent >= 0 or value.mantissa & ((1 << -value.exponent) - 1) == 0


def _shortest(value: Float, bits: int) -> tuple[str, int]:
    """Fewest decimal digits that tell the value from its neighbours, as Go finds them, and the place of the point."""
    shift = bits + 1 - value.mantissa.bit_length()
    mantissa = value.mantissa << shift if shift >= 0 else value.mantissa >> -shift  # the last bit is half a unit
    exponent = value.exponent - shift
    digits, point = _expanded(mantissa, exponent)
    lower, _ = _expanded(mantissa - 1, exponent)
    upper, _ = _expanded(mantissa + 1, exponent)
    even = mantissa & 2 == 0  # the bounds themselves are rounded to an even mantissa
    for at, digit in enumerate(digits):
        below, above = lower[at : at + 1] or "0", upper[at : at + 1] or "0"
        down = below != digit or (even and at + 1 == len(lower))
        up = digit != above and (even or int(digit) + 1 < int(above) or at + 1 < len(upper))
        if down or up:
            return _cut(digits, point, at + 1, up and (not down or _nearer_above(digits, at + 1)))
    return digits, point


def _expanded(mantissa: int, exponent: int) -> tuple[str, int]:
    """All decimal digits of mantissa * 2 ** exponent, less zeros at the end; of very many, the first."""
    places = max(0, -exponent)
    number = mantissa << exponent if exponent >= 0 else mantissa * 5**places
    surplus = number.bit_length() * 30103 // 100_000 - 60
    if surplus <= 0:
        digits = str(number)
        return digits.rstrip("0"), len(digits) - places
    number, rest = divmod(number, 10**surplus)
    digits = str(number)
    return f"{digits}1" if rest else digits.rstrip("0"), len(digits) + surplus - places


def _nearer_above(digits: str, kept: int) -> bool:
    if kept >= len(digits):
        return False
    if digits[kept:] == "5":
        return int(digits[kept - 1]) % 2 == 1
    return digits[kept] >= "5"


def _cut(digits: str, point: int, kept: int, up: bool) -> tuple[str, int]:
    if kept >= len(digits):
        return digits, point
    if not up:
        return digits[:kept].rstrip("0"), point
    raised = str(int(digits[:kept]) + 1)
    return raised.rstrip("0"), point + len(raised) - kept
