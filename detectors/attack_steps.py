"""The steps of an attack that endpoint logs show, as data: each with its ATT&CK technique and where the idea is from.

Patterns are regular expressions, found anywhere in a column, whatever the case. `attack.mitre.org/techniques/` has each
technique's own page, with the detections that these follow; `like` names the rule of the Sigma project (a pointer:
neither its text nor its lists are ours) that looks for the same thing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Step(NamedTuple):
    """All patterns of `when` are found, and none of `unless`; by column."""

    technique: str
    what: str  # in words
    like: str
    score: float  # how sure it is that somebody attacks
    when: Mapping[str, str]
    unless: Mapping[str, str] = {}


SURE, LIKELY, SUSPECT = 0.95, 0.9, 0.85
_SYSTEM = r"^c:\\windows\\system32\\(csrss|wininit|winlogon|services|lsm|lsass|lsaiso|svchost|wmiprvse|werfault)\.exe$"
_INSTALLED = r"^c:\\program files( \(x86\))?\\|^c:\\programdata\\microsoft\\windows defender\\"
_SHELL = r"(\\|\b)(cmd|powershell|pwsh|mshta|wscript|cscript|rundll32|regsvr32)(\.exe)?\b|%comspec%"
_PAYLOAD = (
    r"powershell|pwsh|%comspec%|cmd(\.exe)?\"?\s*/[ckq]\b|mshta|wscript|cscript|regsvr32|rundll32|https?://"
    r"|\\(temp|perflogs|users\\public)\\|appdata\\roaming\\[^\\\s]+\.(exe|dll|bat|vbs|js)\b"
)
_RUN_KEY = r"\\currentversion\\(policies\\explorer\\)?run(once|services|onceex)?\b"
_WINDOWS_GUARDS = r"(windefend|sense|wdnissvc|wdfilter|sysmon(64|drv)?|mpssvc|eventlog)"
_REPLICATION = r"1131f6a[ad]-9c07-11d1-f79f-00c04fc2dcd2|89e95b76-444d-4c62-991a-0facbeda640c"

STEPS: tuple[Step, ...] = (
    # --- Credentials out of memory, registry, directory (T1003) ---
    Step(
        "T1003.001", "the memory of LSASS was opened for reading", "proc_access_win_lsass_susp_access_flag", LIKELY,
        # PROCESS_VM_READ, 0x10, is among the rights: the last digit but one is odd
        {"action": "process_access", "resource": r"(^|\\)lsass\.exe$", "outcome": r"^0x[0-9a-f]*[13579bdf][0-9a-f]$"},
        {"service": f"{_SYSTEM}|{_INSTALLED}"},
    ),
    Step(
        "T1003.001", "a thread was started in LSASS", "create_remote_thread_win_susp_password_dumper_lsass", LIKELY,
        {"action": "remote_thread", "resource": r"\\lsass\.exe$"}, {"service": _SYSTEM},
    ),
    Step(
        "T1003.001", "a tool that reads LSASS", "proc_creation_win_hktl_mimikatz_command_line", LIKELY,
        {"resource": (
            r"mimikatz|sekurlsa|lsadump::lsa|procdump.*lsass|lsass.*procdump|lsass[^\\\s]*\.(dmp|dump)\b|nanodump"
            r"|comsvcs.{0,40}(minidump|#\+?0*24)|sqldumper.*lsass|out-minidump|pypykatz|rdrleakdiag.*/fullmemdmp"
        )},
    ),
    Step(
        "T1003.002", "the accounts' database was copied or read",
        "proc_creation_win_reg_dumping_sensitive_hives", LIKELY,
        {"resource": (
            r"\b(save|export)\s+\"?(hklm|hkey_local_machine)\\(sam|system)\b|lsadump::sam|invoke-powerdump|\bpwdump"
            r"|harddiskvolumeshadowcopy\d+\\windows\\system32\\config\\(sam|system)\b"
        )},
    ),
    Step(
        "T1003.002", "accounts' keys were opened by who has no business there",
        "win_security_sam_registry_hive_handle_request", LIKELY,
        {"action": "object_access", "resource": r"\\registry\\machine\\sam\\sam\\domains\\account\\users"},
        {"service": _SYSTEM},
    ),
    Step(
        "T1003.004", "LSA secrets were copied or read", "proc_creation_win_reg_dumping_sensitive_hives", LIKELY,
        {"resource": (
            r"\b(save|export)\s+\"?(hklm|hkey_local_machine)\\security\b|lsadump::(secrets|cache)"
            r"|\\registry\\machine\\security\\policy\\secrets\\|hklm\\security\\policy\\secrets\\"
        )},
        {"service": _SYSTEM},
    ),
    Step(
        "T1003.003", "the directory's database was copied", "proc_creation_win_ntdsutil_usage", LIKELY,
        {"resource": r"ntds\.dit|ntdsutil.*(\bifm\b|\bac\w*\s+i\w*\s+ntds)|invoke-ninjacopy"},
        {"service": r"\\(lsass|vssvc|wbengine)\.exe$"},
    ),
    Step(
        "T1003.006", "somebody replicates the directory who is no domain controller",
        "win_security_ad_replication_non_machine_account", SURE,
        {"action": "directory_access", "resource": _REPLICATION}, {"service": r"\$$|^$|^msol_|^aad_"},
    ),
    Step(
        "T1003.006", "a tool that replicates the directory", "proc_creation_win_hktl_mimikatz_command_line", LIKELY,
        {"resource": r"lsadump::dcsync|invoke-dcsync|secretsdump.*-just-dc"},
    ),
    Step("T1003.008", "password hashes were read", "proc_creation_lnx_local_account", LIKELY,
         {"resource": r"(^|[\s\"'=])/etc/g?shadow\b"}),
    # --- Movement to another host: services, shares, WMI, remote shells ---
    Step(
        "T1569.002", "a service was made whose program is a command",
        "win_system_susp_service_installation_script", LIKELY,
        {"action": "service_install", "resource": rf"{_PAYLOAD}|\\\\(127\.0\.0\.1|localhost)\\|\badmin\$"},
    ),
    Step(
        "T1569.002", "a service of a tool for remote execution",
        "win_system_service_install_sysinternals_psexec", LIKELY,
        {"action": "service_install",
         "resource": r"psexesvc|paexec|csexec|remcom|winexesvc|^%systemroot%\\[a-z]{8}\.exe$"},
    ),
    Step(
        "T1569.002", "the service manager started a command shell",
        "proc_creation_win_hktl_impacket_lateral_movement", LIKELY,
        {"action": "process_create", "service": r"\\services\.exe$", "resource": _SHELL},
    ),
    Step(
        "T1021.002", "a command's output goes to an administrative share",
        "proc_creation_win_hktl_impacket_lateral_movement", LIKELY,
        {"resource": r"\\\\(127\.0\.0\.1|localhost|::1)\\(admin|c)\$\\"},
    ),
    Step(
        "T1021.002", "services were controlled from another host", "win_security_svcctl_remote_service", SUSPECT,
        {"action": "share_access", "resource": r"\\ipc\$\\svcctl$"},
    ),
    Step(
        "T1021.002", "a program was put on an administrative share", "win_security_admin_share_access", SUSPECT,
        # FILE_WRITE_DATA, 0x2
        {"action": "share_access", "resource": r"\\(admin|[a-z])\$\\.*\.(exe|dll|sys|bat|cmd|ps1|vbs)$",
         "outcome": r"^0x[0-9a-f]*[2367abef]$"},
    ),
    Step(
        "T1047", "WMI started a command shell", "proc_creation_win_wmiprvse_susp_child_processes", SUSPECT,
        {"action": "process_create", "service": r"\\wmiprvse\.exe$", "resource": _SHELL},
    ),
    Step(
        "T1047", "a process was started through WMI", "proc_creation_win_wmic_remote_execution", SUSPECT,
        {"resource": (
            r"wmic.*(/node:|process\s+call\s+create)|invoke-wmiexec|wmiexec"
            r"|invoke-(wmimethod|cimmethod).*win32_process|\[wmiclass\].*win32_process"
        )},
    ),
    Step(
        "T1021.006", "a remote PowerShell session started a command shell",
        "proc_creation_win_winrm_susp_child_process", SUSPECT,
        {"action": "process_create", "service": r"\\wsmprovhost\.exe$", "resource": _SHELL},
    ),
    Step(
        "T1021", "a script logged on elsewhere with credentials of its own",
        "win_security_susp_logon_explicit_credentials", SUSPECT,
        {"action": "explicit_logon", "service": _SHELL}, {"resource": r"@(localhost|-)?$"},
    ),
    Step(
        "T1550.002", "a logon with somebody else's hash", "win_security_susp_logon_newcredentials", SUSPECT,
        {"action": "^logon$", "service": r"^type 9 seclogo"},
    ),
    # --- What attackers run and leave behind ---
    Step(
        "T1059.001", "PowerShell was given an encoded command",
        "proc_creation_win_powershell_base64_encoded_cmd", LIKELY,
        {"resource": r"(powershell|pwsh)(\.exe)?\"?\s.*[-/]e(c|n[a-z]*)?\s+[\"']?[a-z0-9+/=]{40,}"},
    ),
    Step(
        "T1059.001", "PowerShell ran what it had downloaded", "proc_creation_win_powershell_download_iex", LIKELY,
        {"resource": (
            r"(\biex\b|invoke-expression).*(download(string|data)|net\.webclient|invoke-webrequest|\biwr\b)"
            r"|(download(string|data)|net\.webclient|invoke-webrequest|\biwr\b).*(\biex\b|invoke-expression)"
        )},
    ),
    Step(
        "T1059.001", "PowerShell ran what it had unpacked", "posh_ps_frombase64string_archive", SUSPECT,
        {"resource": (
            r"(\biex\b|invoke-expression|reflection\.assembly).*frombase64string"
            r"|frombase64string.*(\biex\b|invoke-expression|gzipstream)"
        )},
    ),
    Step(
        "T1053.005", "a task was made that runs a command", "proc_creation_win_schtasks_creation", SUSPECT,
        {"resource": rf"(schtasks.*/create|register-scheduledtask|<command>).*({_PAYLOAD}|/s\s+\\*\w)"},
    ),
    Step(
        "T1547.001", "a command runs at each logon", "registry_set_asep_reg_keys_modification_currentversion", SUSPECT,
        {"resource": rf"{_RUN_KEY}.*({_PAYLOAD})"},
    ),
    Step("T1070.001", "an event log was cleared", "win_security_audit_log_cleared", SURE, {"action": "log_clear"}),
    Step(
        "T1070.001", "a command clears event logs", "proc_creation_win_susp_eventlog_clear", LIKELY,
        {"resource": r"wevtutil(\.exe)?\"?\s+(cl|clear-log)\b|(clear|remove)-eventlog|\.clearlog\("},
    ),
    Step("T1562.001", "virus protection was turned off", "win_defender_real_time_protection_disabled", LIKELY,
         {"action": "protection_off"}),
    Step(
        "T1562.001", "a command turns protection off", "proc_creation_win_powershell_defender_disable_feature", LIKELY,
        {"resource": (
            r"set-mppreference.*-disable\w+\s+(\$?true|1)\b|add-mppreference.*-exclusion|amsiutils|amsiinitfailed"
            rf"|\bsc(\.exe)?\"?\s+(stop|delete|config)\s+\"?{_WINDOWS_GUARDS}\b"
            rf"|\bnet1?(\.exe)?\"?\s+stop\s+\"?{_WINDOWS_GUARDS}\b"
            rf"|stop-service.*{_WINDOWS_GUARDS}\b|fltmc(\.exe)?\"?\s+unload|taskkill.*(msmpeng|sysmon)"
        )},
    ),
    Step(
        "T1562.001", "protection was turned off in the registry", "registry_set_windows_defender_tamper", LIKELY,
        {"action": "registry_set", "resource": r"\\windows defender\\.*disable\w+ = dword \(0x0*1\)"},
    ),
)  # fmt: skip
