"""JSON-like Python to YAML in block style, as go-yaml v3 writes it: two spaces, keys in natural order, no folding."""

from __future__ import annotations

import re
from functools import cmp_to_key
from typing import Any

from policy.rego.builtins.operands import MAX_LENGTH
from policy.rego.builtins.yaml_scalars import STR, float_text, resolved

_BREAKS = "\r\n\x85\u2028\u2029"
_OLD_BOOLEANS = frozenset(
    ["y", "Y", "yes", "Yes", "YES", "on", "On", "ON", "n", "N", "no", "No", "NO", "off", "Off", "OFF"]
)
_SEXAGESIMAL = re.compile(r"[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?")
_UNPRINTABLE = re.compile("[^\n\x20-\x7e\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd]")
_INDICATES = re.compile(
    rf"---|\.\.\.|[#,\[\]{{}}&*!|>'\"%@`]|[?:-](?:[ \t]|\Z)|.+:(?:[ \t]|\Z)|.*[ \t{_BREAKS}\0]#", re.DOTALL
)
_ESCAPES = dict(zip('\0\x07\x08\t\n\v\f\r\x1b"\\\x85\xa0\u2028\u2029', '0abtnvfre"\\N_LP', strict=True))
_LONGEST_KEY = 128  # bytes of one that needs no `?`


def write(value: Any) -> str:
    """YAML of what `yaml_reader.read` returns. Raises ValueError if it is longer than MAX_LENGTH."""
    lines = _lines(value, "")
    if sum(map(len, lines)) > MAX_LENGTH:
        raise ValueError("YAML text too long")
    return "".join(lines)


def _lines(value: Any, indent: str) -> list[str]:
    """Pieces of a node's text from where its first line begins; the other lines are indented."""
    if type(value) is dict and value:
        return _map(value, indent)
    if type(value) is list and value:
        return _list(value, indent)
    return [_ended(_scalar(value, indent))]


def _list(value: list[Any], indent: str) -> list[str]:
    pieces: list[str] = []
    for at, one in enumerate(value):
        pieces += [indent if at else "", "- ", *_inner(one, indent)]
    return pieces


def _inner(value: Any, indent: str) -> list[str]:
    """A node that begins on the line of the indicator before it."""
    if type(value) in (dict, list) and value:
        return _lines(value, f"{indent}  ")
    return [_ended(_scalar(value, f"{indent}  "))]


def _map(value: dict[str, Any], indent: str) -> list[str]:
    pieces: list[str] = []
    for at, name in enumerate(sorted(value, key=cmp_to_key(_order))):
        held = value[name]
        pieces.append(indent if at else "")
        if any(char in _BREAKS for char in name) or len(name.encode()) > _LONGEST_KEY:
            pieces += ["? ", *_inner(name, indent), indent, ": ", *_inner(held, indent)]
        elif type(held) in (dict, list) and held:
            pieces += [_scalar(name, ""), ":\n", f"{indent}  ", *_lines(held, f"{indent}  ")]
        else:
            pieces += [_scalar(name, ""), ": ", *_inner(held, indent)]
    return pieces


def _ended(text: str) -> str:
    return text if text[-1:] in tuple(_BREAKS) else f"{text}\n"


def _scalar(value: Any, indent: str) -> str:
    if type(value) is str:
        return _text(value, indent)
    if value is None or type(value) is bool:
        return {None: "null", True: "true", False: "false"}[value]
    if type(value) is float:
        return float_text(value)
    return str(value) if type(value) is int else "{}" if type(value) is dict else "[]"


def _text(text: str, indent: str) -> str:
    odd = _UNPRINTABLE.search(text.replace("\t", "")) is not None or re.search(rf" [{_BREAKS}]", text) is not None
    if "\n" in text:
        return _literal(text, indent) if not odd and text[-1] != " " else _double(text)
    if resolved(text)[0] != STR or text in _OLD_BOOLEANS or _SEXAGESIMAL.fullmatch(text):
        return _double(text)
    if not odd and "\t" not in text and not _needs_quotes(text):
        return text
    single = not odd and "\t" not in text and not re.search(rf"[{_BREAKS}] ", text)
    return _single(text, indent) if single else _double(text)


def _needs_quotes(text: str) -> bool:
    edges = text[0] == " " or text[-1] == " "
    return edges or any(char in _BREAKS for char in text) or _INDICATES.match(text) is not None


def _literal(text: str, indent: str) -> str:
    hint = "2" if text[0] in f" {_BREAKS}" else ""
    chomp = "-" if text[-1] not in _BREAKS else "+" if len(text) == 1 or text[-2] in _BREAKS else ""
    return f"|{hint}{chomp}\n{_indented(text, indent or '  ', broken=True)}"


def _single(text: str, indent: str) -> str:
    quoted = text.replace("'", "''")
    return f"'{_indented(quoted, indent or '  ', broken=False)}'"


def _indented(text: str, indent: str, broken: bool) -> str:
    """The text with an indent at the beginning of each line that is not empty; `broken` says whether it begins one."""
    spaced = re.sub(rf"(?<=[{_BREAKS}])(?=[^{_BREAKS}])", indent, text)
    return indent + spaced if broken and text[0] not in _BREAKS else spaced


def _double(text: str) -> str:
    all_of_it = text.startswith("\ufeff")  # as libyaml has it
    return f'"{"".join(_escaped(char) if all_of_it or _special(char) else char for char in text)}"'


def _special(char: str) -> bool:
    return char in '"\\' or char in _BREAKS or _UNPRINTABLE.match(char) is not None


def _escaped(char: str) -> str:
    if char in _ESCAPES:
        return f"\\{_ESCAPES[char]}"
    code = ord(char)
    return f"\\x{code:02X}" if code <= 0xFF else f"\\u{code:04X}" if code <= 0xFFFF else f"\\U{code:08X}"


def _order(a: str, b: str) -> int:
    """Natural order: letters after other characters, digits as numbers."""
    at = next((at for at, (left, right) in enumerate(zip(a, b, strict=False)) if left != right), None)
    if at is None:
        return len(a) - len(b)
    left, right = a[at], b[at]
    if left.isalpha() and right.isalpha():
        return ord(left) - ord(right)
    if left.isalpha() or right.isalpha():
        first = left.isalpha() if at and a[at - 1].isdecimal() else right.isalpha()
        return -1 if first else 1
    return _digits_order(a, b, at)


def _digits_order(a: str, b: str, at: int) -> int:
    lead = 0
    if "0" in (a[at], b[at]):
        before = re.search(r"\d*\Z", a[:at])
        lead = int(bool(before and before.group().strip("0")))
    (number, end), (other, stop) = _number(a, at, lead), _number(b, at, lead)
    return number - other or end - stop or ord(a[at]) - ord(b[at])


def _number(text: str, at: int, lead: int) -> tuple[int, int]:
    number = lead
    while at < len(text) and text[at].isdecimal():
        number = number * 10 + ord(text[at]) - ord("0")
        at += 1
    return (number + (1 << 63)) % (1 << 64) - (1 << 63), at  # Go's integers go round
