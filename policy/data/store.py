"""One dict, changed in place, so that a change costs what it changes. Whoever evaluates never waits in the middle, and
sees the state before or after a change.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from policy.data.json_patch import read_patch
from policy.data.json_pointer import Path, at
from policy.data.overlay import Overlay
from policy.data.patching import Patching
from policy.data.size import size
from policy.rego.values import from_python

Changed = Callable[[Sequence[Path]], None]


class DataStore:
    """Belongs to one thread. `changed` is told what each change replaced, once it is done; `()` is everything."""

    def __init__(self, base: dict[str, Any], changed: Changed = lambda paths: None):
        self._overlay = Overlay(base)
        self._changed = changed

    @property
    def document(self) -> dict[str, Any]:
        """What policy sees as `data`. It changes in place: copy what you keep of it."""
        return self._overlay.document

    def at(self, path: Path) -> Any:
        """The value at a path of member names and array indexes, or UNDEFINED. Copy what you keep."""
        return at(self.document, path)

    def put(self, path: Path, value: Any) -> None:
        """Write a JSON value; objects on the way are made, in place of whatever is there. Raises TypeError if it is
        none, ValueError for an empty path or a value too large or deep.
        """
        _check(path)
        size(value, len(path))
        self._done([self._overlay.put(path, from_python(value))])

    def remove(self, path: Path) -> None:
        """Take live values away; what the revision's own document says there shows again. Raises ValueError for an
        empty path.
        """
        _check(path)
        replaced = self._overlay.lift(path)
        self._done([] if replaced is None else [replaced])

    def patch(self, operations: Any, *, dry_run: bool = False) -> Sequence[Path]:
        """Apply a JSON patch (RFC 6902), decoded, as a whole or not at all; what it replaced, or would. What it removes
        is hidden where it is the revision's own. Raises PatchError.
        """
        patching = Patching(self._overlay)
        try:
            for number, operation in enumerate(read_patch(operations)):
                patching.apply(number, operation)
        except BaseException:
            self._overlay.undo.roll_back()
            raise
        replaced = list(dict.fromkeys(patching.replaced))
        if dry_run:
            self._overlay.undo.roll_back()
        else:
            self._done(replaced)
        return replaced

    def rebase(self, base: dict[str, Any]) -> None:
        """Lay the live values over another base; the old one is as it was. Costs what is live."""
        self._overlay.rebase(base)
        self._done([()])

    def _done(self, replaced: Sequence[Path]) -> None:
        self._overlay.undo.forget()
        if replaced:
            self._changed(replaced)


def _check(path: Path) -> None:
    if not path:
        raise ValueError("a path has at least one step")
