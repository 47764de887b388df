"""One dict, changed in place, so that a change costs what it changes. Whoever evaluates never waits in the middle, and
sees the state before or after a change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol

from policy.data.json_patch import read_patch
from policy.data.json_pointer import Path, at
from policy.data.overlay import Live, Overlay
from policy.data.patching import apply
from policy.data.size import MAX_VALUES, size
from policy.rego.values import UNDEFINED, from_python

Changed = Callable[[Sequence[Path]], None]


class Journal(Protocol):
    """Hears of each change of live data once it is made, so as to make it elsewhere too."""

    def put(self, path: Path, value: Any) -> None:
        """A value was written."""
        ...

    def removed(self, path: Path) -> None:
        """Live values were taken away."""
        ...

    def patched(self, operations: Any) -> None:
        """A JSON patch was applied."""
        ...


class DataStore:
    """Belongs to one thread. A change returns the paths that it replaced, or would; `changed` is told them once it is
    done, `()` for everything.
    """

    def __init__(self, base: dict[str, Any], changed: Changed = lambda paths: None):
        self._overlay = Overlay(base)
        self._changed = changed
        self.journal: Journal | None = None

    @property
    def document(self) -> dict[str, Any]:
        """What policy sees as `data`. It changes in place: copy what you keep of it."""
        return self._overlay.document

    def at(self, path: Path) -> Any:
        """The value at a path of member names and array indexes, or UNDEFINED. Copy what you keep."""
        return at(self.document, path)

    def copy(self, path: Path, limit: int = MAX_VALUES) -> Any:
        """A copy of the value at a path, or UNDEFINED. Raises ValueError where it holds more than `limit` values."""
        value = self.at(path)
        size(value, 0, limit)
        return value if value is UNDEFINED else from_python(value)

    def put(self, path: Path, value: Any, *, dry_run: bool = False) -> Sequence[Path]:
        """Write a JSON value; objects on the way are made, in place of whatever is there. Raises TypeError if it is
        none, ValueError for an empty path or a value too large or deep.
        """
        _check(path)
        size(value, len(path))
        held = from_python(value)
        replaced = self._changed_by(lambda: [self._overlay.put(path, held)], dry_run)
        if self.journal is not None and not dry_run:
            self.journal.put(path, value)
        return replaced

    def remove(self, path: Path, *, dry_run: bool = False) -> Sequence[Path]:
        """Take live values away; what the revision's own document says there shows again. Raises ValueError for an
        empty path.
        """
        _check(path)
        replaced = self._changed_by(lambda: self._overlay.lift(path), dry_run)
        if self.journal is not None and not dry_run:
            self.journal.removed(path)
        return replaced

    def patch(self, operations: Any, *, dry_run: bool = False) -> Sequence[Path]:
        """Apply a JSON patch (RFC 6902), decoded, as a whole or not at all. What it removes is hidden where it is the
        revision's own. Raises PatchError.
        """
        patch = read_patch(operations)
        replaced = self._changed_by(lambda: apply(self._overlay, patch), dry_run)
        if self.journal is not None and not dry_run:
            self.journal.patched(operations)
        return replaced

    def live(self) -> Iterator[Live]:
        """What is laid over the revision's own document: where, which value (UNDEFINED hides the document's own), and
        whether it is an object that stays though it is empty. Copy what you keep.
        """
        return self._overlay.live()

    def lay(self, live: Iterable[Live]) -> None:
        """Take over what another store told of itself. Nothing may have been changed here before."""
        self._overlay.lay(live)
        self._done([()])

    def rebase(self, base: dict[str, Any]) -> None:
        """Lay the live values over another base; the old one is as it was. Costs what is live."""
        self._overlay.rebase(base)
        self._done([()])

    def _changed_by(self, change: Callable[[], Iterable[Path]], dry_run: bool) -> Sequence[Path]:
        """Make a change, as a whole or not at all; a dry run takes it back."""
        try:
            replaced = list(dict.fromkeys(change()))
        except BaseException:
            self._overlay.undo.roll_back()
            raise
        if dry_run:
            self._overlay.undo.roll_back()
        else:
            self._done(replaced)
        return replaced

    def _done(self, replaced: Sequence[Path]) -> None:
        self._overlay.undo.forget()
        if replaced:
            self._changed(replaced)


def _check(path: Path) -> None:
    if not path:
        raise ValueError("a path has at least one step")
