"""Writes the heads of loops: over all elements, or over those that an index finds."""

from __future__ import annotations

from policy.rego.compiler.body import Body, number_of
from policy.rego.compiler.expressions import local
from policy.rego.compiler.origins import filtered, static
from policy.rego.plan import Scan


class Loops(Body):
    """Loops of one function."""

    def _head(self, scan: Scan) -> str:
        """One element costs nothing: it repeats nothing. Neither do the few that the policy itself names."""
        source, value, filtering = self._values.operand(scan.source), local(scan.value), filtered(scan)
        found = f"scan({source}, m)"
        if filtering is not None:
            wanted = self._values.operand(filtering[1])
            found = f"{self._index(scan, filtering[0])}, {filtering[0]!r}, {wanted}, {source}, m)"
        if self._locals.read(scan.key):
            return f"for {local(scan.key)}, {value} in {found}:"
        if number_of(scan.source) in self._locals.short and self._loops == 1:
            return f"for {value} in {source}:"
        several = f"elements({source}, m)" if filtering is None else f"[one for _, one in {found}]"
        return f"for {value} in ({source} if type({source}) is list and len({source}) < 2 else {several}):"

    def _index(self, scan: Scan, member: str) -> str:
        """The beginning of a call that finds elements by a member: in data by an index that is kept until it changes,
        elsewhere by one that is made in this evaluation when it is wanted again.
        """
        path = self._origins.get(number_of(scan.source))
        if path is not None and path[0] == "data" and static(path):
            return f"indexed({self._source.index(path, member)}, {path}"
        return f"indexed_now({self._source.slot_of_index()}"
