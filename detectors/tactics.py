"""Which tactic a technique serves: MITRE ATT&CK Enterprise, and ATLAS, whose tactics have the same names.

A technique that serves several stands with the one that what our detectors see of it most often means: what is seen
once must not fill two stages of an attack.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_SERVED: Final[Mapping[str, str]] = {  # in the order in which attacks mostly go
    "reconnaissance": "T1589 T1590 T1592 T1595 AML.T0006 AML.T0064",
    "initial-access": "T1078 T1133 T1189 T1190 T1195 T1566 AML.T0010 AML.T0012 AML.T0049",
    "execution": "T1047 T1059 T1106 T1203 T1204 T1569 AML.T0011 AML.T0050 AML.T0051 AML.T0053",
    "persistence": "T1053 T1098 T1136 T1505 T1543 T1546 T1547 AML.T0018 AML.T0020 AML.T0061",
    "privilege-escalation": "T1055 T1068 T1134 T1548 AML.T0054",
    "defense-evasion": "T1027 T1036 T1070 T1112 T1140 T1218 T1562 AML.T0015",
    "credential-access": "T1003 T1110 T1212 T1552 T1555 T1557 T1558 AML.T0055",
    "discovery": (
        "T1007 T1016 T1018 T1033 T1046 T1049 T1057 T1069 T1082 T1083 T1087 T1135 T1482 AML.T0007 AML.T0013 AML.T0014"
    ),
    "lateral-movement": "T1021 T1210 T1534 T1550 T1563 T1570",
    "collection": "T1005 T1039 T1056 T1074 T1114 T1213 T1560 AML.T0035 AML.T0036 AML.T0037",
    "command-and-control": "T1071 T1090 T1095 T1102 T1105 T1219 T1568 T1571 T1572 T1573",
    "exfiltration": "T1011 T1020 T1029 T1030 T1041 T1048 T1052 T1537 T1567 AML.T0024 AML.T0025 AML.T0056 AML.T0057",
    "impact": "T1485 T1486 T1489 T1490 T1496 T1498 T1499 T1531 T1657 AML.T0029 AML.T0034 AML.T0048",
}
TACTICS: Final = tuple(_SERVED)
_OF: Final = {technique: tactic for tactic, served in _SERVED.items() for technique in served.split()}


def tactic(technique: str) -> str:
    """Of a technique or its sub-technique, by id; empty where the table does not know it."""
    if technique.startswith("AML."):
        return _OF.get(".".join(technique.split(".")[:2]), "")
    return _OF.get(technique.partition(".")[0], "")
