"""Rego values in Python: None, bool, int, float, `Numeral`, str, list (array), dict (object), `RegoSet`, and undefined.

Python says `1 == True` and `Decimal("0.1") != 0.1`, Rego does not. So a boolean, a composite value or a `Numeral` as an
object's key or a set's element is wrapped in a `Key`; all other keys are themselves, and a JSON document is a Rego
value as `json_text.decode` returns it. Values are immutable once built.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal
from functools import cmp_to_key
from typing import Any, Final

from policy.rego import numerals
from policy.rego.numerals import Numeral, exact

MAX_DEPTH: Final = 100  # of a document: objects and arrays inside one another


class Undefined:
    """Type of the one value that is no value."""

    __slots__ = ()

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return "undefined"


UNDEFINED: Final = Undefined()


class EvaluationError(Exception):
    """The policy contradicted itself: two values for one complete rule, function or object key."""

    code = "eval_conflict_error"  # OPA's name of the error


class BuiltinError(EvaluationError):
    """A builtin had an error, where policy asks for strict errors."""

    code = "eval_builtin_error"


class LimitExceeded(EvaluationError):
    """The policy took more time, steps or space than it may."""

    code = "eval_cancel_error"


class Key:
    """A value that Python's equality gets wrong, as an object's key or a set's element: equal by Rego's rules."""

    __slots__ = ("_hash", "value")

    def __init__(self, value: Any):
        self.value = value
        self._hash = _hash(value)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        if type(other) is Key:
            return self._hash == other._hash and equal(self.value, other.value)
        return isinstance(self.value, Decimal) and equal(self.value, other)

    def __repr__(self) -> str:
        return f"Key({self.value!r})"


class RegoSet:
    """A set of Rego values; `keys` are the elements as `key` makes them."""

    __slots__ = ("keys",)

    def __init__(self, elements: Iterable[Any] = ()):
        self.keys = {key(element) for element in elements} if elements else set()

    @classmethod
    def of_keys(cls, keys: set[Any]) -> RegoSet:
        """Take keys that are made already."""
        made = cls()
        made.keys = keys
        return made

    def add(self, element: Any) -> None:
        """Only while it is being built."""
        self.keys.add(key(element))

    def __iter__(self) -> Iterator[Any]:
        return iter(ordered(unkey(item) for item in self.keys))

    def __len__(self) -> int:
        return len(self.keys)

    def __contains__(self, element: object) -> bool:
        return key(element) in self.keys

    def __eq__(self, other: object) -> bool:
        return type(other) is RegoSet and self.keys == other.keys

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"RegoSet({list(self)!r})"


def key(value: Any) -> Any:
    """The value as an object's key or a set's element."""
    kind = type(value)
    if kind is str or kind is int or kind is float or value is None:
        return value
    return Key(value)


def unkey(item: Any) -> Any:
    """The value that `key` made an item from."""
    return item.value if type(item) is Key else item


def equal(a: Any, b: Any) -> bool:
    """Whether two values are the same: `1 == 1.0`, `true != 1`, arrays and objects by what they hold."""
    kind = type(a)
    if kind is str:
        return type(b) is str and a == b
    if kind is bool or a is None:
        return a is b
    if kind is int or kind is float:
        return a == b if type(b) is int or type(b) is float else type(b) in _DECIMALS and exact(a) == b
    if kind is dict:
        return type(b) is dict and len(a) == len(b) and _holds(b, a)
    if kind is list:
        return type(b) is list and len(a) == len(b) and all(map(equal, a, b))
    if kind in _DECIMALS:
        return type(b) in _NUMBERS and a == exact(b)
    return bool(a == b)


def compare(a: Any, b: Any) -> int:
    """Rego's total order: null, booleans, numbers, strings, arrays, objects, sets. Below 0, 0 or above 0."""
    kind = type(a)
    if kind is type(b) and kind in _PLAIN:
        return int(a > b) - int(a < b)
    rank, other = _RANKS[kind], _RANKS[type(b)]
    if rank != other:
        return rank - other
    if rank <= _NUMBER:
        return 0 if a is None else _compare_numbers(a, b)
    if rank == _OBJECT:
        return _compare_objects(a, b)
    return _compare_sequences(list(a), list(b))


def ordered(values: Iterable[Any]) -> list[Any]:
    """Values in Rego's order, equal ones kept."""
    given = list(values)
    if len(given) < 2:
        return given
    kinds = set(map(type, given))
    if kinds == {str} or kinds <= {int, float}:
        return sorted(given)
    return sorted(given, key=order)


def scan(value: Any) -> Iterable[tuple[Any, Any]]:
    """Keys and values of a composite value in Rego's order; nothing for any other value."""
    kind = type(value)
    if kind is list:
        return enumerate(value)
    if kind is dict:
        return _scan_object(value)
    if kind is RegoSet:
        return ((element, element) for element in value)
    return ()


def dot(value: Any, at: Any) -> Any:
    """`value[at]`, or undefined."""
    kind = type(value)
    if kind is dict:
        return value.get(key(at), UNDEFINED)
    if kind is list:
        return _item(value, at)
    if kind is RegoSet:
        return at if key(at) in value.keys else UNDEFINED
    return UNDEFINED


def merged(a: Any, b: Any) -> Any:
    """Two objects as one, recursively; `a` wins where both have a value that is not an object."""
    if type(a) is not dict or type(b) is not dict:
        return a
    result = dict(b)
    for item, value in a.items():
        result[item] = merged(value, result[item]) if item in result else value
    return result


def upserted(value: Any, path: tuple[str, ...], replacement: Any) -> Any:
    """A copy of the document with the value at `path` replaced; objects on the way are made where missing."""
    if not path:
        return replacement
    document = dict(value) if type(value) is dict else {}
    document[path[0]] = upserted(document.get(path[0], UNDEFINED), path[1:], replacement)
    return document


def inserted_once(target: dict[Any, Any], at: Any, value: Any) -> None:
    """Add to an object that is being built. Raises EvaluationError if the key has another value already."""
    if type(target) is not dict or not equal(target.setdefault(key(at), value), value):
        raise EvaluationError(f"object has two values for key {at!r}")


def from_python(value: Any, depth: int = MAX_DEPTH) -> Any:
    """A Rego value from JSON-like Python (tuples too). Raises TypeError on anything else, and where it is too deep."""
    kind = type(value)
    if kind is str or kind is bool or value is None or (kind is int and numerals.bounded(value)):
        return value
    if kind is float or isinstance(value, Decimal):
        return _number(value)
    if depth and isinstance(value, dict):
        return {_name(item): from_python(held, depth - 1) for item, held in value.items()}
    if depth and isinstance(value, (list, tuple)):
        return [from_python(held, depth - 1) for held in value]
    raise TypeError(f"{kind.__name__} is not a JSON value, or too large or too deep")


def to_python(value: Any) -> Any:
    """JSON-like Python of a Rego value: sets become arrays, keys that are not strings become their JSON text, and
    numbers that no double holds are `Decimal`s.
    """
    if type(value) is dict:
        return {item if type(item) is str else _text(item): to_python(held) for item, held in _scan_object(value)}
    if type(value) is list or type(value) is RegoSet:
        return [to_python(held) for held in value]
    return numerals.plain(value) if isinstance(value, Decimal) else value


def _number(value: float | Decimal) -> float | Decimal:
    try:
        return value if type(value) is Numeral else numerals.from_python(value)
    except ValueError as error:
        raise TypeError(str(error)) from error


def _name(item: Any) -> str:
    if type(item) is not str:
        raise TypeError(f"object key {item!r} is not text")
    return item


def _text(item: Any) -> str:
    from policy.rego.json_text import encode

    return encode(item)


def _scan_object(value: dict[Any, Any]) -> Iterable[tuple[Any, Any]]:
    if len(value) < 2:
        return [(unkey(item), held) for item, held in value.items()]
    return [(name, value[key(name)]) for name in ordered(map(unkey, value))]


def _item(array: list[Any], at: Any) -> Any:
    if type(at) is not int:
        at = numerals.small(at) if type(at) in _NUMBERS else None
    return array[at] if at is not None and 0 <= at < len(array) else UNDEFINED


def _holds(value: dict[Any, Any], part: dict[Any, Any]) -> bool:
    for item, held in part.items():  # noqa: SIM110 - a generator costs more than what it does here
        if not equal(held, value.get(item, UNDEFINED)):
            return False
    return True


def _hash(value: Any) -> int:
    kind = type(value)
    if kind is bool:
        return 8 if value else 7
    if kind is list:
        return hash((list, *(_hash(held) for held in value)))
    if kind is dict:
        return hash((dict, frozenset((item, _hash(held)) for item, held in value.items())))
    if kind is RegoSet:
        return hash((RegoSet, frozenset(value.keys)))
    return numerals.hashed(value) if isinstance(value, Decimal) else hash(value)


def _compare_numbers(a: Any, b: Any) -> int:
    if type(a) in _DECIMALS or type(b) in _DECIMALS:
        a, b = exact(a), exact(b)
    return int(a > b) - int(a < b)


def _compare_sequences(a: list[Any], b: list[Any]) -> int:
    for left, right in zip(a, b, strict=False):
        if found := compare(left, right):
            return found
    return len(a) - len(b)


def _compare_objects(a: dict[Any, Any], b: dict[Any, Any]) -> int:
    for (left, held), (right, other) in zip(_scan_object(a), _scan_object(b), strict=False):
        if found := compare(left, right) or compare(held, other):
            return found
    return len(a) - len(b)


_NUMBER = 2
_OBJECT = 5
_RANKS: dict[type, int] = {type(None): 0, bool: 1, str: 3, list: 4, dict: _OBJECT, RegoSet: 6}
_DECIMALS = frozenset((Numeral, Decimal))
_NUMBERS = frozenset((int, float)) | _DECIMALS
_RANKS.update(dict.fromkeys(_NUMBERS, _NUMBER))
_PLAIN = frozenset((str, int, float, bool))  # Python's order is Rego's
order: Any = cmp_to_key(compare)
