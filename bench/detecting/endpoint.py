"""Windows hosts' logs of two attacks (OTRF Security-Datasets): each step, and whether it was named.

What is a step stands in the data sets' own descriptions (SDWIN-200807103913, SDWIN-190518210125: what the attacker
typed), and the log says when: the events that these commands leave. A step is named when a verdict has its technique
and host within its time; a verdict that belongs to no step is a false alarm. The rest of both logs is a domain's
ordinary noise, as far as the description tells.
"""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from bench.detecting.scores import SHARED, Figures
from bench.detecting.shipped import pipeline, play, read
from detectors import Verdict
from telemetry import EventBatch

FOLDER = SHARED / "endpoint"
_SLACK = 2.0  # seconds about a step's events


class Done(NamedTuple):
    """One step: what the attacker did, and when the log shows it, Unix seconds."""

    technique: str
    host: str
    since: float
    until: float
    what: str

    def is_named_by(self, verdict: Verdict) -> bool:
        """Whether a verdict is about it."""
        host = verdict.subject.partition(".")[0].upper()
        timely = self.since - _SLACK <= verdict.time <= self.until + _SLACK
        return timely and (verdict.technique, host) == (self.technique, self.host)


CAPTURES: dict[str, tuple[Done, ...]] = {
    "mimikatz-lsadump": (
        Done("T1033", "WORKSTATION5", 1596811178.0, 1596811180.0, "the agent asks who it is: whoami /user"),
        Done("T1003.001", "WORKSTATION5", 1596811190.0, 1596811208.0, "lsadump::lsa /patch in the agent's PowerShell"),
    ),
    "smbexec-lateral": (
        Done("T1550.002", "WORKSTATION6", 1600585067.0, 1600585068.0, "a logon over NTLM by pgustavo's hash"),
        Done("T1021.002", "WORKSTATION6", 1600585067.0, 1600585069.0, "services controlled over SMB, \\svcctl"),
        Done("T1569.002", "WORKSTATION6", 1600585067.0, 1600585070.0, "a service made and started"),
        Done("T1059.001", "WORKSTATION6", 1600585067.0, 1600585075.0, "its program: PowerShell, encoded"),
        Done("T1033", "WORKSTATION6", 1600585085.0, 1600585088.0, "the new agent asks who it is: whoami"),
    ),
}


def measure(seed: int) -> Figures:
    """Both captures, each past a pipeline that knows nobody."""
    found = Figures()
    false_alarms = 0.0
    for capture, steps in CAPTURES.items():
        verdicts = play(pipeline(seed), _read(FOLDER / f"{capture}.zip"))
        found |= _named(capture, steps, verdicts)
        false_alarms += sum(not any(step.is_named_by(verdict) for step in steps) for verdict in verdicts)
    named = [value for name, value in found.items() if name.startswith("endpoint_named_")]
    return {
        "endpoint_steps": float(len(named)),
        "endpoint_steps_named": sum(named),
        "endpoint_false_alarms": false_alarms,
    } | found


def _named(capture: str, steps: Sequence[Done], verdicts: Sequence[Verdict]) -> Figures:
    """1 or 0 for each step."""
    return {f"endpoint_named_{capture}_{step.technique}": float(any(map(step.is_named_by, verdicts))) for step in steps}


def _read(archive: Path) -> EventBatch:
    """The log in an archive, read as any file of events is."""
    with zipfile.ZipFile(archive) as opened, tempfile.TemporaryDirectory() as folder:
        return read([Path(opened.extract(name, folder)) for name in opened.namelist()])
