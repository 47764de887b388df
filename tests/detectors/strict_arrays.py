"""A second array namespace beside NumPy, as strict as CuPy is: its arrays live elsewhere, never mixed with the host's.

What is wrapped computes by NumPy. An operation that is given an array of the host raises TypeError, as CuPy's do, and
so does NumPy when it is given one of these; `asarray` brings an array over, `Arrays.host` back. So features that run
here touch the device through their namespace alone.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from detectors.arrays import Arrays


class DeviceArray:
    """An array that lives elsewhere."""

    __array_ufunc__ = None  # NumPy's operators leave it to ours
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, array: np.ndarray[Any, Any]) -> None:
        self.held = array

    def __array__(self, *_: object, **__: object) -> np.ndarray[Any, Any]:
        raise TypeError("implicit conversion to a host's array")

    def __len__(self) -> int:
        return len(self.held)

    def __bool__(self) -> bool:
        return bool(self.held)

    def __int__(self) -> int:
        return int(self.held)

    def __float__(self) -> float:
        return float(self.held)

    def __neg__(self) -> Any:
        return _wrapped(-self.held)

    def __invert__(self) -> Any:
        return _wrapped(~self.held)

    def __getitem__(self, key: Any) -> Any:
        return _wrapped(self.held[_inner(key)])

    def __setitem__(self, key: Any, value: Any) -> None:
        self.held[_inner(key)] = _inner(value)

    def __getattr__(self, name: str) -> Any:
        value = getattr(self.held, name)
        return _calling(value) if callable(value) else _wrapped(value)


def _operation(name: str, reflected: bool = False) -> Any:
    function = getattr(operator, name)

    def apply(self: DeviceArray, other: Any) -> Any:
        sides = (_inner(other), self.held) if reflected else (self.held, _inner(other))
        return _wrapped(function(*sides))

    return apply


def _in_place(name: str) -> Any:
    function = getattr(operator, name)

    def apply(self: DeviceArray, other: Any) -> DeviceArray:
        self.held = function(self.held, _inner(other))
        return self

    return apply


for _name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "and_", "or_", "xor", "lshift", "rshift", "matmul"):
    _plain = _name.rstrip("_")
    setattr(DeviceArray, f"__{_plain}__", _operation(_name))
    setattr(DeviceArray, f"__r{_plain}__", _operation(_name, reflected=True))
    setattr(DeviceArray, f"__i{_plain}__", _in_place(f"i{_plain}"))
for _name in ("lt", "le", "gt", "ge", "eq", "ne"):
    setattr(DeviceArray, f"__{_name}__", _operation(_name))


class Namespace:
    """NumPy's functions over arrays that live elsewhere."""

    def asarray(self, array: Any, dtype: Any = None) -> DeviceArray:
        """Bring an array over."""
        held = array.held if isinstance(array, DeviceArray) else array
        return DeviceArray(np.array(held, dtype))

    array = asarray

    def asnumpy(self, array: DeviceArray) -> np.ndarray[Any, Any]:
        """Bring an array back."""
        return array.held.copy()

    def __getattr__(self, name: str) -> Any:
        value = getattr(np, name)
        if isinstance(value, type) or not callable(value):
            return value
        return _Function(value)


class _Function:
    """One of NumPy's, with its methods (`maximum.at`)."""

    def __init__(self, function: Any) -> None:
        self._function = function

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        return _calling(self._function)(*arguments, **options)

    def __getattr__(self, name: str) -> Any:
        return _calling(getattr(self._function, name))


def _calling(function: Any) -> Any:
    def call(*arguments: Any, **options: Any) -> Any:
        inner = [_inner(argument) for argument in arguments]
        return _wrapped(function(*inner, **{name: _inner(option) for name, option in options.items()}))

    return call


def _inner(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        raise TypeError("an array of the host among those of the device")
    if isinstance(value, DeviceArray):
        return value.held
    return type(value)(map(_inner, value)) if isinstance(value, (tuple, list)) else value


def _wrapped(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return DeviceArray(value)
    if isinstance(value, np.generic):
        return DeviceArray(np.asarray(value))  # CuPy has no scalars of its own: they are arrays of no dimension
    return (
        tuple(map(_wrapped, value))
        if isinstance(value, tuple)
        and not hasattr(value, "_fields")
        and any(isinstance(one, np.ndarray) for one in value)
        else value
    )


STRICT = Arrays(Namespace(), "gpu")  # type: ignore[arg-type]
