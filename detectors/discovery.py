"""Bursts of discovery: commands that anybody may run, of several kinds within minutes on one host."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import CPU
from detectors.features import Table
from detectors.features.hashing import Hashes
from detectors.features.remembered import Remembered
from detectors.step_rules import Patterns
from telemetry import EventBatch, Words

ACCOUNTS, SYSTEMS = "T1087", "T1018"
ENOUGH = 4  # kinds; a logon script has two or three
SPAN = 300.0  # seconds
_ACTIONS = ("process_create", "script")
_START = r"(^|[\\\s\"'&|;(=])"
Numbers = NDArray[np.float64]


class _Kind(NamedTuple):
    what: str
    technique: str  # ACCOUNTS or SYSTEMS, whichever it is nearer to
    pattern: str


# After ATT&CK T1087, T1069, T1033, T1018, T1016, T1049, T1082, T1057, T1135; Sigma looks for them one by one
# (proc_creation_win_susp_recon, proc_creation_win_net_user_default_accounts_manipulation and others).
KINDS: tuple[_Kind, ...] = (
    _Kind("who am I", ACCOUNTS, rf"{_START}whoami(\.exe)?\b"),
    _Kind(
        "accounts",
        ACCOUNTS,
        rf"{_START}net1?(\.exe)?\"?\s+(user|accounts)\b|get-(ad|domain|local|net)user\b|dsquery\s+user|wmic.*useraccount",
    ),
    _Kind(
        "groups",
        ACCOUNTS,
        rf"{_START}net1?(\.exe)?\"?\s+(local)?group\b|get-(ad|domain|local|net)group|dsquery\s+group",
    ),
    _Kind("sessions of users", ACCOUNTS, rf"{_START}(quser|qwinsta|query)(\.exe)?\"?(\s+(user|session)|\s*$)"),
    _Kind(
        "hosts",
        SYSTEMS,
        rf"{_START}net1?(\.exe)?\"?\s+view\b|get-(ad|domain|net)computer|dsquery\s+computer|adfind|sharphound",
    ),
    _Kind("domain controllers", SYSTEMS, rf"{_START}nltest(\.exe)?\b|get-(domain|net)(domain)?controller|_ldap\._tcp"),
    _Kind("neighbours", SYSTEMS, rf"{_START}arp(\.exe)?\"?\s+[-/]a|{_START}(nbtstat|tracert|pathping)(\.exe)?\b"),
    _Kind("network", SYSTEMS, rf"{_START}(ipconfig|ifconfig|route\s+print)(\.exe)?\b|get-netipconfiguration"),
    _Kind("connections", SYSTEMS, rf"{_START}netstat(\.exe)?\b|{_START}net1?(\.exe)?\"?\s+(session|use)\s*$"),
    _Kind("shares", SYSTEMS, rf"{_START}net1?(\.exe)?\"?\s+share\s*$|get-smbshare|invoke-sharefinder"),
    _Kind("this system", SYSTEMS, rf"{_START}(systeminfo|hostname)(\.exe)?\b|get-computerinfo"),
    _Kind("processes", SYSTEMS, rf"{_START}(tasklist|qprocess)(\.exe)?\b"),
)


class Bursts:
    """When each kind of command last ran on each of at most `capacity` hosts."""

    def __init__(self, capacity: int, key: int) -> None:
        self._commands = Remembered(capacity, key, (np.uint64,), Patterns([kind.pattern for kind in KINDS]))
        self.table = Table(capacity, CPU)
        self._last = np.full((capacity, len(KINDS)), -np.inf)  # Unix seconds

    def commands(self, batch: EventBatch) -> NDArray[np.uint64]:
        """[n] of each row, a bit for each kind of discovery that its command is; of a batch in the order of time."""
        bits: NDArray[np.uint64] = self._commands.of(batch.resource, float(batch.time[-1]))[0]
        return bits * _is_one_of(batch.action, _ACTIONS)

    def learn(self, hosts: Hashes, commands: NDArray[np.uint64], times: Numbers) -> None:
        """Take in commands, [n] each: at most `capacity` of them, none of no kind."""
        if not len(hosts):
            return
        each, of = np.unique(hosts, return_inverse=True)
        slots, strangers = self.table.admit(each)
        self._last[slots[strangers]] = -np.inf
        for kind in range(len(KINDS)):
            rows = np.flatnonzero(commands & np.uint64(1 << kind))
            np.maximum.at(self._last, (slots[of[rows]], kind), times[rows])
        self.table.last[slots] = self._last[slots].max(axis=1)
        self.table.events[slots] += np.bincount(of, minlength=len(each))

    def recent(self, hosts: Hashes) -> NDArray[np.bool_]:
        """[n, KINDS] which kinds ran on each host within SPAN of its latest command."""
        slots = self.table.find(hosts)
        last = np.where(slots[:, None] < 0, -np.inf, self._last[slots])
        recent: NDArray[np.bool_] = last > np.maximum(last.max(axis=1, keepdims=True), -1e300) - SPAN
        return recent

    def since(self, host: Hashes) -> float:
        """When the earliest of one host's recent kinds last ran."""
        return float(self._last[self.table.find(host)[0]][self.recent(host)[0]].min())

    def state(self) -> dict[str, NDArray[np.generic]]:
        """All that is known, for `restore`."""
        return self.table.state(self.table.held(), {"ran": self._last})

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        """Know what the one knew whose `state` it was; where fewer fit, the most interesting are kept."""
        self._last[:] = -np.inf
        self.table.restore(state, {"ran": self._last})


def technique(recent: NDArray[np.bool_]) -> str:
    """What a burst of these kinds is mostly about."""
    kinds = [KINDS[place].technique for place in np.flatnonzero(recent).tolist()]
    return SYSTEMS if 2 * kinds.count(SYSTEMS) > len(kinds) else ACCOUNTS


def words(recent: NDArray[np.bool_]) -> str:
    """A burst in words."""
    asked = ", ".join(KINDS[place].what for place in np.flatnonzero(recent).tolist())
    return f"commands that ask for {asked} within {SPAN:.0f} s"


def _is_one_of(words: Words, texts: Sequence[str]) -> NDArray[np.bool_]:
    table = np.fromiter((text in texts for text in words.values), np.bool_, len(words.values))
    chosen: NDArray[np.bool_] = table[words.codes]
    return chosen
