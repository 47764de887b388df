"""Zeek's logs. Of the labelled capture (CTU-SME-11, a machine with the Remcos trojan): precision and recall by flow.

A flow is called when its source address was, by any verdict of the capture: blocks are of addresses, and hold for what
else comes from there. Flows that are labelled "Unknown" count for nothing. Of captures without labels, verdicts are
counted by technique: it is said what was found, not whether it is right.
"""

from __future__ import annotations

from collections.abc import Iterator

from bench.detecting.scores import SHARED, Figures
from bench.detecting.shipped import counted, pipeline, play, read

FOLDER = SHARED / "zeek"
LABELLED = FOLDER / "ctu-sme-11-conn.log.labeled"
_WITH = FOLDER / "ctu-sme-11-dns.log.labeled"
CAPTURES = {
    "zeek_port_scan": (FOLDER / "port-scan-vertical-conn.log",),
    "zeek_apt29": (FOLDER / "apt29-day1-combined.log",),
    "zeek_mixed": tuple(FOLDER / "mixed" / f"{log}.log" for log in ("conn", "dns", "notice")),
}


def measure(seed: int) -> Figures:
    """Each capture by itself, past a pipeline that knows nobody."""
    verdicts = play(pipeline(seed), read((LABELLED, _WITH)))
    found = by_flow({verdict.subject for verdict in verdicts if verdict.kind == "address"})
    found |= counted("zeek_labelled", verdicts)
    for name, paths in CAPTURES.items():
        found |= counted(name, play(pipeline(seed), read(paths)))
    return found


def by_flow(called: set[str]) -> Figures:
    """Flows of the labelled capture, by what was called: precision 0 where nothing was."""
    flows = [(source in called, label == "Malicious") for source, label in labelled() if label != "Unknown"]
    hostile, right = sum(bad for _, bad in flows), sum(one and bad for one, bad in flows)
    said = sum(one for one, _ in flows)
    return {
        "zeek_flows": float(len(flows)),
        "zeek_flows_hostile": float(hostile),
        "zeek_flow_precision": right / said if said else 0.0,
        "zeek_flow_recall": right / hostile,
    }


def labelled() -> Iterator[tuple[str, str]]:
    """Source address and label of each flow."""
    columns: list[str] = []
    for line in LABELLED.read_text().splitlines():
        if line.startswith("#fields"):
            columns = line.split("\t")[1:]
        elif not line.startswith("#"):
            row = dict(zip(columns, line.split("\t"), strict=True))
            yield row["id.orig_h"], row["label"]
