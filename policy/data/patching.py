"""Applies a JSON patch (RFC 6902) to an overlay, one operation after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from policy.data.json_patch import Name, Operation, PatchError
from policy.data.json_pointer import Path, at, first_array, index, pointer_to
from policy.data.overlay import Overlay
from policy.data.size import MAX_VALUES, TooMuch, size
from policy.rego.values import UNDEFINED, equal, from_python


def apply(overlay: Overlay, patch: Sequence[Operation]) -> list[Path]:
    """Apply operations; what they replaced. Raises PatchError: then what was done is the caller's to take back."""
    patching = _Patching(overlay)
    for number, operation in enumerate(patch):
        patching.apply(number, operation)
    return patching.replaced


class _Patching:
    def __init__(self, overlay: Overlay):
        self.replaced: list[Path] = []
        self._overlay = overlay
        self._left = MAX_VALUES
        self._steps: dict[Name, Callable[[Operation], None]] = {
            "add": self._add,
            "remove": self._remove,
            "replace": self._replace,
            "move": self._move,
            "copy": self._copy,
            "test": self._test,
        }

    def apply(self, number: int, operation: Operation) -> None:
        try:
            self._steps[operation.name](operation)
        except (LookupError, TypeError, ValueError) as error:
            raise PatchError(number, pointer_to(operation.path), str(error.args[0])) from error

    def _add(self, operation: Operation) -> None:
        self._write(operation.path, self._held(operation.value, operation.path), new=True)

    def _remove(self, operation: Operation) -> None:
        self._take(operation.path)

    def _replace(self, operation: Operation) -> None:
        self._found(operation.path)
        self._write(operation.path, self._held(operation.value, operation.path), new=False)

    def _move(self, operation: Operation) -> None:
        source, path = operation.source, operation.path
        if source == path[:-1][: len(source)]:
            raise ValueError("nothing moves into itself")
        value = self._held(self._found(source), path)
        self._take(source)
        self._write(path, value, new=True)

    def _copy(self, operation: Operation) -> None:
        self._write(operation.path, self._held(self._found(operation.source), operation.path), new=True)

    def _test(self, operation: Operation) -> None:
        if not equal(self._found(operation.path), self._held(operation.value, ())):
            raise ValueError("the value there is another")

    def _write(self, path: Path, value: Any, *, new: bool) -> None:
        container, array = self._container(path)
        if array is None:
            self.replaced.append(self._overlay.put(path, value))
            return
        if type(container) is dict:
            self._overlay.undo.write(container, path[-1], value)
        elif new:
            place = len(container) if path[-1] == "-" else _place(path[-1], len(container) + 1)
            self._overlay.undo.insert(container, place, value)
        else:
            self._overlay.undo.replace(container, _place(path[-1], len(container)), value)
        self.replaced.append(path[:array])

    def _take(self, path: Path) -> None:
        self._found(path)
        container, array = self._container(path)
        if array is None:
            self.replaced.append(self._overlay.hide(path))
            return
        if type(container) is dict:
            self._overlay.undo.write(container, path[-1], UNDEFINED)
        else:
            self._overlay.undo.pop(container, _place(path[-1], len(container)))
        self.replaced.append(path[:array])

    def _container(self, path: Path) -> tuple[Any, int | None]:
        """What holds the end of a path, and how many steps lead to the first array on the way: then it is ours."""
        if not path:
            raise ValueError("the document as a whole is the revision's: name what is in it")
        held = self._found(path[:-1])
        if type(held) is not dict and type(held) is not list:
            raise LookupError("what is above it is neither object nor array")
        array = first_array(self._overlay.document, path[:-1])
        return (held, None) if array is None else (self._overlay.claimed(path[:-1], array), array)

    def _found(self, path: Path) -> Any:
        value = at(self._overlay.document, path)
        if value is UNDEFINED:
            raise LookupError(f"there is no {pointer_to(path)}")
        return value

    def _held(self, value: Any, path: Path) -> Any:
        self._left -= size(value, len(path))
        if self._left < 0:
            raise TooMuch(f"more than {MAX_VALUES} values")
        return from_python(value)


def _place(step: str, length: int) -> int:
    place = index(step, length)
    if place is None:
        raise LookupError(f"the array has no place {step}")
    return place
