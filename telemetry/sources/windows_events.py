"""What Windows events say, as columns. Each has the host for its peer; `service` is who did it, `resource` to what.

Sysmon 1, Security 4688         ENDPOINT  process_create: the parent's image; the image and its command line
Sysmon 8                        ENDPOINT  remote_thread
Sysmon 10, Security 4656, 4663  ENDPOINT  process_access, or object_access; outcome the rights, "0x1410"
Sysmon 11                       ENDPOINT  file_create
Sysmon 13                       ENDPOINT  registry_set: the image; "KEY = VALUE"
Security 4624, 4625             ENDPOINT  logon, outcome success or failure: "type 3 NtLmSsp"; the account
Security 4648                   ENDPOINT  explicit_logon: the image; "ACCOUNT@SERVER"
Security 4662                   ENDPOINT  directory_access: the account; the properties
Security 4697, System 7045      ENDPOINT  service_install: the service's name; its program
Security 4698, 4702             ENDPOINT  task_create: the account; the task's name and content
Security 5145                   ENDPOINT  share_access: the account; share and path; outcome the rights
Security 1102, System 104       ENDPOINT  log_clear: the account; the log
PowerShell 4103, 4104           ENDPOINT  script: its text, as far as a cell holds it
Defender 5001, 5010, 5012       ENDPOINT  protection_off
Sysmon 3                        FLOW      without sizes, which Sysmon does not know
Sysmon 22                       DNS
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from telemetry.event import Kind
from telemetry.malformed import clip
from telemetry.sources.windows_record import Record

_SYSMON = "Microsoft-Windows-Sysmon"
_SECURITY = "Microsoft-Windows-Security-Auditing"
_POWERSHELL = "Microsoft-Windows-PowerShell"
_SERVICES = "Service Control Manager"
_EVENTLOG = "Microsoft-Windows-Eventlog"
_DEFENDER = "Microsoft-Windows-Windows Defender"
Columns = dict[str, Any]


def _process_create(record: Record) -> Columns:
    image, command = record.image or record.new_process_name, record.command_line
    told = command if image.lower() in command.lower() else f"{image} {command}".strip()
    return _did("process_create", record.parent_image or record.parent_process_name, told)


def _remote_thread(record: Record) -> Columns:
    return _did("remote_thread", record.source_image, record.target_image)


def _access(record: Record) -> Columns:
    action = "process_access" if record.object_type in ("", "Process") else "object_access"
    by, target = record.source_image or record.process_name, record.target_image or record.object_name
    return _did(action, by, target, record.granted_access or record.access_mask)


def _file_create(record: Record) -> Columns:
    return _did("file_create", record.image, record.target_filename)


def _registry_set(record: Record) -> Columns:
    return _did("registry_set", record.image, f"{record.target_object} = {record.details}")


def _logon(record: Record) -> Columns:
    how = f"type {record.logon_type} {record.logon_process_name}".strip() if record.logon_type != "" else ""
    outcome = "success" if record.event_id == 4624 else "failure"
    return _did("logon", how, record.target_user_name, outcome) | {"address": _unset(record.ip_address)}


def _explicit_logon(record: Record) -> Columns:
    return _did("explicit_logon", record.process_name, f"{record.target_user_name}@{record.target_server_name}")


def _directory_access(record: Record) -> Columns:
    return _did("directory_access", record.subject_user_name, record.properties, record.access_mask)


def _service_install(record: Record) -> Columns:
    return _did("service_install", record.service_name, record.service_file_name or record.image_path)


def _task_create(record: Record) -> Columns:
    content = record.task_content or record.task_content_new
    return _did("task_create", record.subject_user_name, f"{record.task_name} {content}")


def _share_access(record: Record) -> Columns:
    path = f"{record.share_name}\\{record.relative_target_name}"
    columns = _did("share_access", record.subject_user_name, path, record.access_mask)
    return columns | {"address": _unset(record.ip_address)}


def _log_clear(record: Record) -> Columns:
    return _did("log_clear", record.subject_user_name, record.channel)


def _script(record: Record) -> Columns:
    return _did("script", "", record.script_block_text or record.payload)


def _protection_off(record: Record) -> Columns:
    return _did("protection_off", "", "")


def _connection(record: Record) -> Columns:
    port = record.destination_port
    return {
        "kind": Kind.FLOW,
        "address": _unset(record.source_ip),
        "peer": _unset(record.destination_ip),
        "port": min(int(port), 65535) if port.isascii() and port.isdigit() and len(port) <= 5 else 0,
        "action": clip(record.protocol),
    }


def _question(record: Record) -> Columns:
    return {
        "kind": Kind.DNS,
        "peer": clip(record.hostname),
        "service": "dns",
        "resource": clip(record.query_name),
        "outcome": clip(record.query_status),
    }


READ: Mapping[tuple[str, int], Callable[[Record], Columns]] = {
    (_SYSMON, 1): _process_create,
    (_SYSMON, 3): _connection,
    (_SYSMON, 8): _remote_thread,
    (_SYSMON, 10): _access,
    (_SYSMON, 11): _file_create,
    (_SYSMON, 13): _registry_set,
    (_SYSMON, 22): _question,
    (_SECURITY, 4624): _logon,
    (_SECURITY, 4625): _logon,
    (_SECURITY, 4648): _explicit_logon,
    (_SECURITY, 4656): _access,
    (_SECURITY, 4662): _directory_access,
    (_SECURITY, 4663): _access,
    (_SECURITY, 4688): _process_create,
    (_SECURITY, 4697): _service_install,
    (_SECURITY, 4698): _task_create,
    (_SECURITY, 4702): _task_create,
    (_SECURITY, 5145): _share_access,
    (_EVENTLOG, 104): _log_clear,
    (_EVENTLOG, 1102): _log_clear,
    (_SERVICES, 7045): _service_install,
    (_POWERSHELL, 4103): _script,
    (_POWERSHELL, 4104): _script,
    (_DEFENDER, 5001): _protection_off,
    (_DEFENDER, 5010): _protection_off,
    (_DEFENDER, 5012): _protection_off,
}


def _did(action: str, by: str, what: str, outcome: str = "") -> Columns:
    return {"action": action, "service": clip(by), "resource": clip(what), "outcome": clip(outcome)}


def _unset(text: str) -> str:
    return "" if text == "-" else clip(text)
