"""`sprintf`: Go's formatting of a template, with values as OPA passes them to it."""

from __future__ import annotations

import re
from typing import Any

from policy.rego import numerals
from policy.rego.builtins.arithmetic import number
from policy.rego.builtins.go_format import Argument, Field, formatted, type_name
from policy.rego.rego_text import MAX_LENGTH, shown
from policy.rego.values import UNDEFINED

MAX_NUMBER = 1_000_000  # of a width, precision or index; Go reads no larger one
_FLAGS = {"-": "minus", "+": "plus", "#": "sharp", " ": "space", "0": "zero"}
_FRACTIONAL = re.compile("[.eE]")
_DIGITS = re.compile("[0-9]*")


def sprintf(template: Any, values: Any) -> Any:
    """The template with each verb replaced by a value; undefined where the text gets too long."""
    if type(template) is not str or type(values) is not list:
        return UNDEFINED
    try:
        return _Printer(template, [_argument(value) for value in values]).printed()
    except ValueError:
        return UNDEFINED


def _argument(value: Any) -> Argument:
    if type(value) is int or not number(value):
        return value if type(value) is int else shown(value)
    text = numerals.written(value)
    if not _FRACTIONAL.search(text):
        return int(text)
    real = float(text)
    return text if real in (float("inf"), float("-inf")) else real


class _Printer:
    """Walks the template; `_at` is the place in it, `_next` the argument for the next verb."""

    def __init__(self, template: str, arguments: list[Argument]):
        self._template = template
        self._arguments = arguments
        self._at = 0
        self._next = 0
        self._reordered = False  # an index was given: arguments left over are no mistake
        self._indexed = False  # what was read last is an index
        self._misplaced = False  # there is something wrong with an index
        self._left = MAX_LENGTH
        self._parts: list[str] = []

    def printed(self) -> str:
        while (found := self._template.find("%", self._at)) >= 0:
            self._put(self._template[self._at : found])
            self._at = found + 1
            self._verb()
        self._put(self._template[self._at :])
        if not self._reordered and self._next < len(self._arguments):
            extra = (f"{type_name(one)}={formatted(Field(), 'v', one)}" for one in self._arguments[self._next :])
            self._put(f"%!(EXTRA {', '.join(extra)})")
        return "".join(self._parts)

    def _put(self, text: str) -> None:
        self._left -= len(text)
        if self._left < 0:
            raise ValueError("text too long")
        self._parts.append(text)

    def _peek(self) -> str:
        return self._template[self._at : self._at + 1]

    def _verb(self) -> None:
        field = Field()
        self._misplaced = False
        while self._peek() in _FLAGS:
            setattr(field, _FLAGS[self._peek()], True)
            self._at += 1
        self._index()
        self._width(field)
        if self._peek() == "." and self._at + 1 < len(self._template):
            self._at += 1
            self._precision(field)
        if not self._indexed:
            self._index()
        verb = self._peek()
        self._at += 1
        self._put(self._replaced(field, verb) if verb else "%!(NOVERB)")

    def _replaced(self, field: Field, verb: str) -> str:
        if verb == "%":
            return "%"
        if "\ud800" <= verb <= "\udfff":
            verb = "\ufffd"
        if self._misplaced:
            return f"%!{verb}(BADINDEX)"
        if self._next >= len(self._arguments):
            return f"%!{verb}(MISSING)"
        if verb in "vw":
            field.typed, field.sharp, field.named, field.plus = field.sharp, False, field.plus, False
        self._next += 1
        return formatted(field, verb, self._arguments[self._next - 1])

    def _index(self) -> None:
        """An index of the next argument, such as `[2]`."""
        self._indexed = False
        if self._peek() != "[":
            return
        self._reordered = True
        end = self._template.find("]", self._at)
        digits = self._template[self._at + 1 : end]
        index = int(digits) - 1 if end > 0 and re.fullmatch("[0-9]{1,7}", digits) else None
        self._at = end + 1 if end > 0 and len(self._template) - self._at > 2 else self._at + 1
        self._indexed = index is not None
        if index is not None and 0 <= index < len(self._arguments):
            self._next = index
        else:
            self._misplaced = True

    def _width(self, field: Field) -> None:
        if self._peek() != "*":
            field.width = self._number()
            self._misplaced |= self._indexed and field.width is not None
            return
        field.width = self._from_argument()
        if field.width is None:
            self._put("%!(BADWIDTH)")
        elif field.width < 0:
            field.width, field.minus, field.zero = -field.width, True, False

    def _precision(self, field: Field) -> None:
        self._misplaced |= self._indexed
        self._index()
        if self._peek() != "*":
            field.precision = self._number() or 0
            return
        field.precision = self._from_argument()
        if field.precision is not None and field.precision < 0:
            field.precision = None
        if field.precision is None:
            self._put("%!(BADPREC)")

    def _number(self) -> int | None:
        found = _DIGITS.match(self._template, self._at)
        digits = found[0] if found else ""
        self._at += len(digits)
        if int(digits[:-1] or 0) > MAX_NUMBER:
            self._at = len(self._template)  # Go gives up on the rest
            return None
        return int(digits) if digits else None

    def _from_argument(self) -> int | None:
        self._at += 1
        self._indexed = False
        if self._next >= len(self._arguments):
            return None
        found = self._arguments[self._next]
        self._next += 1
        return found if isinstance(found, int) and -MAX_NUMBER <= found <= MAX_NUMBER else None


BUILTINS = {"sprintf": sprintf}
