import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from telemetry import Event, Kind, Malformed, parse_endpoint, parse_windows

REPORT: dict[str, Any] = {
    "time": 1767225600.0,
    "host": "laptop-tina",
    "user": "person:tina",
    "event": "process_access",
    "technique": "T1003.001",
    "process": "procdump.exe",
    "target": "lsass.exe",
    "severity": 4,
    "address": "10.0.3.7",
}
SYSMON = {"SourceName": "Microsoft-Windows-Sysmon", "Hostname": "WS5", "UtcTime": "1970-01-01 00:00:05.500"}
SECURITY = {
    "SourceName": "Microsoft-Windows-Security-Auditing",
    "Hostname": "WS5",
    "@timestamp": "1970-01-01T00:00:05.5Z",
}
LSASS = "C:\\Windows\\System32\\lsass.exe"


def windows(**fields: Any) -> Any:
    return parse_windows(json.dumps(fields).encode(), "win")


def on_host(**columns: Any) -> Event:
    common: dict[str, Any] = {"time": 5.5, "kind": Kind.ENDPOINT, "source": "win", "peer": "WS5"}
    return Event(**(common | columns))


def test_a_report_becomes_an_event() -> None:
    assert parse_endpoint(json.dumps(REPORT).encode(), "mqtt:endpoint") == Event(
        time=1767225600.0,
        kind=Kind.ENDPOINT,
        source="mqtt:endpoint",
        subject="person:tina",
        actor="person:tina",
        address="10.0.3.7",
        peer="laptop-tina",
        service="procdump.exe",
        resource="lsass.exe",
        action="process_access",
        name="T1003.001",
        severity=4,
    )


def test_time_host_and_event_are_enough_and_unknown_fields_do_no_harm() -> None:
    event = parse_endpoint(b'{"time": 1, "host": "h", "event": "boot", "new": []}', "s")
    assert isinstance(event, Event)
    assert (event.subject, event.severity) == ("", 0)


@pytest.mark.parametrize(
    "changes",
    [{"time": "now"}, {"host": ""}, {"event": ""}, {"user": "tina"}, {"severity": 5}, {"severity": -1}, {"target": 5}],
)
def test_a_wrong_report_is_malformed(changes: dict[str, Any]) -> None:
    parsed = parse_endpoint(json.dumps(REPORT | changes).encode(), "s")
    assert isinstance(parsed, Malformed)
    assert parsed.reason == "wrong_fields"


def test_access_tells_who_opened_what_with_which_rights() -> None:
    fields = {"EventID": 10, "SourceImage": "C:\\mimi.exe", "TargetImage": LSASS, "GrantedAccess": "0x1438"}
    assert windows(**SYSMON, **fields) == on_host(
        action="process_access", service="C:\\mimi.exe", resource=LSASS, outcome="0x1438"
    )
    event = windows(**SECURITY, EventID=4663, ProcessName="p.exe", ObjectName=LSASS, AccessMask="0x10")
    assert (event.time, event.action, event.service, event.outcome) == (5.5, "process_access", "p.exe", "0x10")
    key = windows(**SECURITY, EventID=4656, ObjectType="Key", ObjectName="\\REGISTRY\\MACHINE\\SAM")
    assert (key.action, key.resource) == ("object_access", "\\REGISTRY\\MACHINE\\SAM")


@pytest.mark.parametrize(
    ("log", "event_id", "fields", "expected"),
    [
        ("Service Control Manager", 7045, {"ServiceName": "s", "ImagePath": "p"}, ("service_install", "s", "p")),
        ("Microsoft-Windows-Eventlog", 1102, {"Channel": "Security"}, ("log_clear", "", "Security")),
        ("Microsoft-Windows-PowerShell", 4104, {"ScriptBlockText": "iex"}, ("script", "", "iex")),
        ("Microsoft-Windows-PowerShell", 4103, {"Payload": "x"}, ("script", "", "x")),
        ("Microsoft-Windows-Windows Defender", 5001, {}, ("protection_off", "", "")),
    ],
)
def test_other_logs(log: str, event_id: int, fields: dict[str, str], expected: tuple[str, str, str]) -> None:
    event = windows(**(SECURITY | {"SourceName": log}), EventID=event_id, **fields)
    assert (event.action, event.service, event.resource) == expected


@pytest.mark.parametrize(
    ("event_id", "fields", "expected"),
    [
        (4648, {"ProcessName": "p", "TargetUserName": "u", "TargetServerName": "s"}, ("explicit_logon", "p", "u@s")),
        (4662, {"SubjectUserName": "u", "Properties": "{x}"}, ("directory_access", "u", "{x}")),
        (4697, {"ServiceName": "s", "ServiceFileName": "p"}, ("service_install", "s", "p")),
        (4698, {"SubjectUserName": "u", "TaskName": "t", "TaskContent": "<c>"}, ("task_create", "u", "t <c>")),
        (5145, {"SubjectUserName": "u", "ShareName": "a", "RelativeTargetName": "b"}, ("share_access", "u", "a\\b")),
        (4688, {"NewProcessName": "b.exe", "CommandLine": "B.EXE -x", "ParentProcessName": "a"},
         ("process_create", "a", "B.EXE -x")),
        (4688, {"NewProcessName": "b.exe", "CommandLine": "c -x"}, ("process_create", "", "b.exe c -x")),
        (4624, {"LogonType": 9, "LogonProcessName": "seclogo", "TargetUserName": "u"},
         ("logon", "type 9 seclogo", "u")),
    ],
)  # fmt: skip
def test_the_security_log(event_id: int, fields: dict[str, str], expected: tuple[str, str, str]) -> None:
    event = windows(**SECURITY, EventID=event_id, **fields)
    assert (event.action, event.service, event.resource) == expected


def test_sysmon_tells_of_files_keys_and_threads() -> None:
    key = windows(**SYSMON, EventID=13, Image="a", TargetObject="HKLM\\x", Details="y")
    assert key == on_host(action="registry_set", service="a", resource="HKLM\\x = y")
    assert windows(**SYSMON, EventID=11, Image="a", TargetFilename="f").resource == "f"
    assert windows(**SYSMON, EventID=8, SourceImage="a", TargetImage="b").action == "remote_thread"


def test_processes_logons_connections_and_questions() -> None:
    assert windows(**SYSMON, EventID=1, Image="a.exe") == on_host(action="process_create", resource="a.exe")
    assert windows(**SECURITY, EventID=4688, NewProcessName="b.exe").resource == "b.exe"
    assert windows(**SECURITY, EventID=4625, TargetUserName="tina", IpAddress="10.0.0.9") == on_host(
        action="logon", outcome="failure", resource="tina", address="10.0.0.9"
    )
    assert windows(**SECURITY, EventID=4624, TargetUserName="tina", IpAddress="-").address == ""
    flow = windows(
        **SYSMON, EventID=3, SourceIp="10.0.0.1", DestinationIp="10.0.0.2", DestinationPort="445", Protocol="tcp"
    )
    assert flow == on_host(kind=Kind.FLOW, address="10.0.0.1", peer="10.0.0.2", port=445, action="tcp")
    question = windows(**SYSMON, EventID=22, QueryName="a.example", QueryStatus="0")
    assert question == on_host(kind=Kind.DNS, service="dns", resource="a.example", outcome="0")


def test_other_windows_events_are_ignored_whatever_their_fields() -> None:
    assert windows(**SYSMON, EventID=7) is None
    assert windows(EventID=99, SourceName="x", Hostname=5) is None
    assert windows(**(SECURITY | {"SourceName": "Other"}), EventID=10) is None


def test_windows_events_that_cannot_be_read_are_malformed() -> None:
    assert windows(**(SYSMON | {"UtcTime": "never"}), EventID=1).reason == "bad_time"
    assert windows(**SYSMON, EventID=1, Image=5).reason == "wrong_fields"
    assert windows(SourceName="x").reason == "wrong_fields"


@pytest.mark.parametrize(("file", "count"), [("mimikatz-lsadump", 3035), ("smbexec-lateral", 5459)])
def test_real_host_events(data: Path, file: str, count: int) -> None:
    with zipfile.ZipFile(data / "endpoint" / f"{file}.zip") as archive:
        lines = archive.read(archive.namelist()[0]).splitlines()
    parsed = [parse_windows(line, "win") for line in lines]
    assert not [one for one in parsed if isinstance(one, Malformed)]
    assert sum(isinstance(one, Event) for one in parsed) == count
