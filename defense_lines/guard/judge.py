"""The guard asks each rule about a block and answers with a permit, a refusal or a hold."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from heapq import nsmallest

import msgspec
from prometheus_client import Counter

from defense_lines.guard.blast_radius import Callers, Radius, beyond_free, beyond_unapproved
from defense_lines.guard.four_eyes import account, same_person
from defense_lines.guard.limits import GuardLimits
from defense_lines.guard.never_block import Protected, never_block
from defense_lines.guard.permit import MINT, Approved, Hold, Override, Permit, Refusal
from defense_lines.guard.rate import Rate
from defense_lines.guard.repeats import Repeats
from defense_lines.guard.struck import Struck
from defense_lines.guard.ttl import ttl
from defense_lines.guard.wide import wide
from policy import BlockPolicy, Guarded, InvalidTarget, Target

_JUDGED = Counter(
    "portcullis_defense_lines_guard_judged_total", "Blocks judged, by answer and rule", ["answer", "rule"]
)
_GROWN = 2  # times what a second person was told

Rules = Callable[[BlockPolicy, Radius, float], Guarded]
Owners = Callable[[str], Iterable[str]]
Judgement = Permit | Refusal | Hold


def _no_rules(block: BlockPolicy, radius: Radius, now: float) -> Guarded:
    return Guarded()


def _no_owners(session: str) -> Iterable[str]:
    return ()


@dataclass(frozen=True, slots=True)
class Leave:
    """What speaks for a block beside itself."""

    override: Override | None = None
    approved: Approved | None = None
    watched: bool = False  # it stood on one line, and did no harm there
    waiting: bool = False  # the same waits for a second person: it is not held anew


_NONE = Leave()


class Guard:
    """Judges blocks one at a time. Remembers what each author was given within the minute, what each target had within
    a day, and whom standing blocks hit. Raises ValueError if the limits name something that is no address or range.
    """

    def __init__(
        self,
        limits: GuardLimits,
        callers: Callers | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        rules: Rules = _no_rules,
        owners: Owners = _no_owners,
    ) -> None:
        """`rules` are the SOC's own, of a block, its radius and the time: they refuse and hold, and permit nothing.
        `owners` says who has a part in a session that lives, however long ago it began.
        """
        self._limits = limits
        self._protected = Protected.of(limits)
        self._callers = callers or Callers.nobody()
        self._detectors = Rate(limits.blocks_per_minute)
        self._people = Rate(limits.blocks_per_minute)  # apart, so that neither fills the other's table of authors
        self._repeats = Repeats(limits)
        self._struck = Struck()
        self._blind = 0.0  # Unix seconds
        self._monotonic = monotonic
        self._rules = rules
        self._owners = owners

    def judge(self, block: BlockPolicy, now: float, leave: Leave | Override | None = None) -> Judgement:
        """May this block stand? `now` is Unix seconds. An override lifts the rate and the canary, an approval what is
        held, and nothing lifts the rest.
        """
        given = leave if isinstance(leave, Leave) else Leave(override=leave)
        judged = self.consider(block, now, given)
        rule = "none" if isinstance(judged, Permit) else judged.rule
        _JUDGED.labels(type(judged).__name__.lower(), rule).inc()
        known = given.watched or (given.waiting and isinstance(judged, Hold))
        if not (isinstance(judged, Refusal) or known):
            self._rate(block.cause.by).count(account(block.cause.by), self._monotonic())
        if isinstance(judged, Permit):
            self._remember(judged.block, given.approved is not None, now)
        return judged

    def consider(self, block: BlockPolicy, now: float, leave: Leave = _NONE) -> Judgement:
        """What `judge` would answer; nothing is counted or remembered."""
        accepted = self._monotonic()
        block, detail = (block, "") if leave.approved or leave.watched else self._lengthened(block, now)
        if refused := self._always(block, now):
            return Refusal(*refused, block, leave.override)
        overriding = leave.override if leave.override and leave.override.by else None
        late = None if leave.watched else self._rate(block.cause.by).refuses(account(block.cause.by), accepted)
        if late and not overriding:
            return Refusal("rate", late, block, leave.override)
        radius = self._callers.measure(block.target, now, None if leave.approved else self._limits)
        said = self._rules(block, radius, now)
        if said.deny:
            return Refusal("policy", "; ".join(said.deny), block, leave.override)
        if held := self._held(block, radius, said, leave.approved, now):
            return Hold(*held, block, radius if leave.waiting else self.radius(block.target, now))
        beyond = None if leave.watched else beyond_free(radius, self._limits)
        used = overriding if late or beyond else None
        return self._permit(block, radius, leave.approved, used, beyond, detail, accepted)

    def restore(
        self, blocks: Iterable[BlockPolicy], now: float, approved: Callable[[str], bool] = lambda block_id: False
    ) -> None:
        """These stand from before; `approved` says of a block, by its id, whether a second person approved it."""
        for block in blocks:
            self._remember(block, approved(block.id), now)

    def protect(self, limits: GuardLimits) -> None:
        """What must never be blocked is what these limits say from now on. Raises ValueError as the class does."""
        self._protected = Protected.of(limits)

    def blind(self, until: float) -> None:
        """Who the good callers are is not known until then (Unix seconds), for what was known was lost: detectors'
        addresses and ranges wait for a person.
        """
        self._blind = until

    def lifted(self, block: BlockPolicy, mistaken: bool = True) -> None:
        """A block was ended before its time; one that was a mistake counts for nothing."""
        self._struck.remove(block.id)
        if mistaken:
            self._repeats.lifted(block.target)

    def harmed(self, target: Target, now: float) -> None:
        """A block of this target was taken back for the harm that it did."""
        self._repeats.harmed(target, now)

    def radius(self, target: Target, now: float) -> Radius:
        """What a block of this target would hit, everybody counted."""
        return self._callers.measure(target, now, None)

    def who(self, target: Target, now: float, most: int) -> Sequence[str]:
        """At most so many of those whom a block of this target would hit, by name."""
        return nsmallest(most, self._callers.hit(target, now))

    def _rate(self, author: str) -> Rate:
        return self._detectors if author.startswith("detector:") else self._people

    def _lengthened(self, block: BlockPolicy, now: float) -> tuple[BlockPolicy, str]:
        """Detectors' blocks last longer each time; a person says how long they mean."""
        if not block.cause.by.startswith("detector:"):
            return block, ""
        expires, why = self._repeats.longer(block, now)
        return (msgspec.structs.replace(block, expires=expires), why) if why else (block, "")

    def _always(self, block: BlockPolicy, now: float) -> tuple[str, str] | None:
        target = block.target
        if reason := _not_canonical(target):
            return "target", reason
        if reason := never_block(target, self._protected, self._parties(target, now)):
            return "never_block", reason
        if reason := ttl(block, self._limits.max_ttl_seconds, now):
            return "ttl", reason
        return None

    def _parties(self, target: Target, now: float) -> Iterable[str]:
        if target.kind != "session":
            return ()
        return self._callers.hour.owners(target.value, now).union(self._owners(target.value))

    def _held(
        self, block: BlockPolicy, radius: Radius, said: Guarded, approved: Approved | None, now: float
    ) -> tuple[str, str] | None:
        if approved is not None:
            return self._held_still(block, radius, approved)
        if reason := self._repeats.harmful(block.target, now):
            return "rolled_back", reason
        if now < self._blind and block.target.kind in ("address", "range") and block.cause.by.startswith("detector:"):
            return "blind", f"who its good callers are is not known for {self._blind - now:.0f} seconds more"
        if reason := self._shared(block.target, radius):
            return "shared", reason
        if reason := wide(block.target, self._limits):
            return "wide", reason
        if reason := beyond_unapproved(radius, self._limits):
            return "blast_radius", reason
        if reason := self._together(block.target, radius, now):
            return "standing", reason
        return ("policy", "; ".join(said.hold)) if said.hold else None

    def _shared(self, target: Target, radius: Radius) -> str | None:
        most = self._limits.shared_principals
        if target.kind == "address" and radius.people > most:
            return f"{radius.people} good principals come from this address: it is many people's"
        if target.kind == "range" and (many := self._callers.crowd(target.value, most)):
            return f"{many} good principals come from one address of it: it is many people's"
        return None

    def _held_still(self, block: BlockPolicy, radius: Radius, approved: Approved) -> tuple[str, str] | None:
        if same_person(block.cause.by, approved.by):
            return "four_eyes", f"{approved.by} may be who asked for it, and cannot approve it"
        told, hit = approved.principals, radius.people
        if hit > _GROWN * told and hit > self._limits.free(radius.known_principals):
            return "grown", f"would hit {hit} good principals now, and {told} when it was shown"
        return None

    def _together(self, target: Target, radius: Radius, now: float) -> str | None:
        if not radius.people:
            return None
        allowed = self._limits.unapproved(max(radius.known_principals, radius.known_regulars))
        hit = self._struck.together(self._callers.hit(target, now), now)
        if hit <= allowed:
            return None
        return f"would hit {hit} good principals together with standing blocks, the limit is {allowed}"

    def _permit(
        self,
        block: BlockPolicy,
        radius: Radius,
        approved: Approved | None,
        override: Override | None,
        beyond: str | None,
        detail: str,
        accepted: float,
    ) -> Permit:
        bearable = self._limits.free(radius.known_principals)
        if approved or override:
            bearable += radius.people
        said = [detail, "approved by a second person" if approved else ""]
        whole = None
        if beyond and not override:
            whole, block = block, msgspec.structs.replace(block, lines=(self._limits.canary_line,))
            said.append(f"by canary: {beyond}")
        words = "; ".join(filter(None, said))
        return Permit(MINT, block, override, accepted, self._monotonic(), words, whole, bearable, approved)

    def _remember(self, block: BlockPolicy, approved: bool, now: float) -> None:
        self._repeats.permitted(block, now)
        if not approved:
            self._struck.add(block.id, self._callers.hit(block.target, now), block.expires)


def _not_canonical(target: Target) -> str | None:
    # a target that came over a wire was not necessarily made by Target.of; lines compare its text
    try:
        canonical = Target.of(target.kind, target.value)
    except InvalidTarget as error:
        return str(error)
    return None if canonical == target else f"{target.kind} {target.value!r} is not canonical: {canonical.value!r}"
