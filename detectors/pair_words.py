"""What is said of a pair: the technique that its numbers suggest, and reasons in words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from detectors.evidence import Reason, Row, rhythm

_REMOTE = {3389: "T1021.001", 445: "T1021.002", 139: "T1021.002", 135: "T1021.003", 22: "T1021.004", 5900: "T1021.005"}
_WINRM = "T1021.006"
_WEB = (80, 443, 8080, 8443)
_UPLOAD = 5e6  # bytes sent within a day from which on exfiltration is thought of
_LOPSIDED = np.log(5.0)  # and so many times as much as was received
_FAMILIAR = 20.0  # flows after which a pair was a command channel before it was an exfiltration
_AROUND = 2.5  # hosts that are new to a source within two hours
_FEW = 10.0  # flows to each of them


def technique(row: Row, port: int) -> str:
    """The ATT&CK id that fits a hostile pair best. One model judges; this only names."""
    if row["port_remote"]:
        around = _number(row, "source_new_remote_7200s") > _AROUND and _number(row, "flows_7200s") < _FEW
        if around:
            return _REMOTE.get(port, _WINRM if port in (5985, 5986) else "T1021")
    if _number(row, "sent_86400s") > _UPLOAD and row["sent_ratio"] > _LOPSIDED:
        return "T1041" if _number(row, "contacts") > _FAMILIAR and not row["port_remote"] else "T1048"
    if row["port_remote"]:
        return "T1110"
    if port == 53:
        return "T1071.004"
    return "T1571" if row["port_other"] else "T1071.001" if port in _WEB else "T1071"


def with_rhythm(found: str, row: Row, words: tuple[str, ...]) -> tuple[str, ...]:
    """Reasons, and of a command channel its rhythm where the model did without: it is what people look for first."""
    told = _rhythm(row, "")
    return (*words, told) if found.startswith(("T1071", "T1571")) and told not in words else words


def end_of(peer: str, port: int) -> str:
    """The other end of a pair."""
    return f"to {peer}, port {port}"


def _number(row: Row, name: str) -> float:
    """What a column holds as ln(1 + number)."""
    return float(np.expm1(row[name]))


def _bytes(number: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if number < 1000 or unit == "GB":
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1000
    return ""


def _time(seconds: float) -> str:
    for size, unit in ((5400.0, "h"), (90.0, "min")):
        if seconds >= size:
            return f"{seconds / (3600 if unit == 'h' else 60):.0f} {unit}"
    return f"{seconds:.0f} s"


def _rhythm(row: Row, scale: str) -> str:
    gap, variation = rhythm(row)
    return (
        f"every {_time(gap)} on average, varying by {variation:.0%}, {_number(row, 'contacts'):.0f} times in "
        f"{_time(_number(row, 'lived'))}"
    )


def _sameness(row: Row, scale: str) -> str:
    sent, received = (_bytes(_number(row, f"{way}_each")) for way in ("sent", "received"))
    change = np.expm1(max(row["change_sent"], row["change_received"], 0.0))
    return f"about {sent} sent and {received} received each time, one time unlike the one before by {change:.0%}"


def _company(row: Row, scale: str) -> str:
    others = max(_number(row, "peer_asked") - 1, 0.0)
    where = "inside" if row["peer_inside"] else "outside"
    return f"{others:.0f} other hosts ever spoke to this peer, which lies {where}"


def _volume(row: Row, scale: str) -> str:
    sent, received = (_bytes(_number(row, f"{way}_86400s")) for way in ("sent", "received"))
    return f"about {sent} sent within a day and {received} received; {_bytes(_number(row, 'sent_600s'))} of it just now"


def _failed(row: Row, scale: str) -> str:
    flows, share = _number(row, f"flows_{scale}"), row[f"failed_share_{scale}"]
    return f"{share:.0%} of its about {flows:.0f} flows in the last {_time(float(scale[:-1]))} never got an answer"


def _around(row: Row, scale: str) -> str:
    scale = scale if f"source_new_remote_{scale}" in row else "7200s"
    hosts, failed = _number(row, f"source_new_remote_{scale}"), row[f"source_remote_failed_{scale}"]
    return (
        f"its source turned to about {hosts:.0f} hosts in the last {_time(float(scale[:-1]))} that it never worked on "
        f"before; {failed:.0%} of such flows were not answered"
    )


def _pace(row: Row, scale: str) -> str:
    scale = scale if f"flows_{scale}" in row else "600s"
    return f"about {_number(row, f'flows_{scale}'):.0f} flows in the last {_time(float(scale[:-1]))}"


def _port(row: Row, scale: str) -> str:
    kinds = ("remote", "web", "infrastructure", "mail", "stores")
    named = {"remote": "by which hosts are worked on", "infrastructure": "of infrastructure", "stores": "of stores"}
    kind = next((kind for kind in kinds if row[f"port_{kind}"]), "")
    return f"a port {named.get(kind, f'of {kind}')}" if kind else "a port that nothing usual is behind"


_ENDS = ("6", "7", "8")
REASONS: Sequence[Reason] = (
    Reason(("gap_", "change_gap", "presence", "lived", "contacts"), _rhythm),
    Reason(("sent_each", "received_each", "lasted_each", "change_sent", "change_received", "change_lasted"), _sameness),
    Reason(("peer_",), _company),
    Reason(
        (*(f"{way}_{end}" for way in ("sent", "received") for end in _ENDS), "sent_ratio", "source_beyond"), _volume
    ),
    Reason(("failed_",), _failed),
    Reason(("source_new_", "source_remote_", "source_lived"), _around),
    Reason(("flows_",), _pace),
    Reason(("port_",), _port),
)
