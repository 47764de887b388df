"""Which revision of a schema is in force, and who put which in force when: one value, so that they cannot disagree."""

from __future__ import annotations

from typing import Literal

import msgspec

_PROMOTIONS = 1000  # that are remembered
_STANDING = 10  # revisions that can be gone back to, and the one in force


class Promotion(msgspec.Struct, frozen=True, kw_only=True):
    """A change of what is in force."""

    what: Literal["promoted", "rolled_back"]
    revision: str  # in force from here on
    before: str  # in force until here, empty if none was
    time: float  # Unix seconds
    by: str
    reason: str
    forced: bool = False  # although it was not evaluated as no worse


class History(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Of one schema. Going back takes the last of `standing` away; the record of it stays."""

    schema: str
    standing: tuple[str, ...] = ()  # the last is in force, the one before it what a rollback returns to
    promotions: tuple[Promotion, ...] = ()

    @property
    def in_force(self) -> str:
        """The revision in force; empty if none is."""
        return self.standing[-1] if self.standing else ""

    @property
    def previous(self) -> str:
        """What a rollback returns to; empty if there is nothing."""
        return self.standing[-2] if len(self.standing) > 1 else ""

    @property
    def by(self) -> str:
        """Who put in force what is; empty if nothing is."""
        return self.promotions[-1].by if self.promotions else ""

    def promoted(self, revision: str, time: float, by: str, reason: str, *, forced: bool = False) -> History:
        """The history with this revision in force."""
        told = Promotion(
            what="promoted", revision=revision, before=self.in_force, time=time, by=by, reason=reason, forced=forced
        )
        return self._with((*self.standing, revision)[-_STANDING:], told)

    def rolled_back(self, time: float, by: str, reason: str) -> History:
        """The history with the previous revision in force, which there must be."""
        told = Promotion(
            what="rolled_back", revision=self.previous, before=self.in_force, time=time, by=by, reason=reason
        )
        return self._with(self.standing[:-1], told)

    def _with(self, standing: tuple[str, ...], promotion: Promotion) -> History:
        return History(self.schema, standing, (*self.promotions, promotion)[-_PROMOTIONS:])
