"""What there is to learn: for each schema the events that it reads, and what a model of it is good for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import Arrays
from detectors.features import AccessFeatures, FlowFeatures, Groups, blank, by_actor, by_address, nameless, pair_columns
from detectors.features import access as access_features
from detectors.features import flow as flow_features
from detectors.models.card import Schema
from detectors.models.evaluation import Samples, Watched, watch
from detectors.models.heard import Heard
from detectors.models.naming import NAME
from detectors.models.pair_watching import thinned, watch_pairs
from detectors.simulator import Labelled, access_traffic, flow_traffic, name_traffic, pair_traffic
from telemetry import EventBatch, Kind

ACCESS = Schema("access", 2, access_features.NAMES)
FLOW = Schema("flow", 2, flow_features.NAMES)
PAIR = Schema("pair", 1, pair_columns.NAMES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One kind of model."""

    schema: Schema
    kind: Kind  # of the events that it reads
    step: float  # seconds of events that are looked at together, as a worker under load does
    groups: Callable[[EventBatch, Arrays, int], Groups]  # whom rows are about, all of which are about somebody
    about_somebody: Callable[[EventBatch], NDArray[np.bool_]]  # which rows are
    subject: Callable[[EventBatch, int], str]  # who that is, of one row
    simulate: Callable[[int], Iterator[Labelled]]  # traffic of a seed, to learn from
    shorter: Callable[[int], Iterator[Labelled]]  # no more of it than a look at how a model does needs
    watch: Callable[[Iterable[Labelled]], Watched]  # what models are judged by
    intended_use: str
    limits: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SubjectTask(Task):
    """One whose models judge what is known of each subject."""

    watch: Callable[[Iterable[Labelled]], Samples]
    accused: float = 0.0005  # share of honest subjects that the threshold may cost on validation traffic
    enough: tuple[int, int]  # hostile events after which a known subject, and one only known by address, is hostile
    depth: int = 5  # of the trees
    thinned: Callable[[Samples], Samples] = lambda samples: samples  # the rows that a model is learnt and calibrated by


_CAPACITY = 262_144  # as detectors have: a smaller filter of what was seen takes more that is new for known
_SIMULATED = "Trained on a simulated bank where its lineage names a simulator: evaluate it on yours."
TASKS: dict[str, Task] = {
    "access": SubjectTask(
        schema=ACCESS,
        kind=Kind.REQUEST,
        step=1.0,
        watch=lambda traffic: watch(AccessFeatures(_CAPACITY), traffic),
        groups=by_actor,
        about_somebody=lambda batch: ~nameless(batch),
        subject=lambda batch, row: batch.actor.text(row) or f"address {batch.address.text(row)}",
        # Hours: of those who learnt on ten minutes, whoever worked all day or came again was accused. And thousands of
        # people: a threshold that few in ten thousand reach is found among no fewer.
        simulate=lambda seed: access_traffic(seed, seconds=14400.0, step=1.0, people_count=3000),
        shorter=lambda seed: access_traffic(seed, seconds=3600.0, step=1.0),
        # People mistype four account numbers and more: six refusals may be theirs, ten are not. An address needs more
        # than an actor: an honest client whose session has run out may collect twenty times 401 before its next login.
        enough=(10, 30),
        accused=0.0003,
        intended_use=(
            "Judges who acts (person, agent, workload, or address where nobody is known) by requests at the edge: "
            "taken-over agents, stolen sessions, enumeration, credential stuffing. Its verdicts go to the response "
            "policy and the guard; it is not meant to decide on a request, nor on anything about a person beyond it."
        ),
        limits=(
            "Sees nothing of what is asked within the allowed: an insider who reads only what is hers looks honest.",
            "Learnt from attacks that are refused at least in part; one that is never refused may pass.",
            "Attacks spread over many addresses, each below some thirty attempts, are not seen by address.",
            _SIMULATED,
        ),
    ),
    "flow": SubjectTask(
        schema=FLOW,
        kind=Kind.FLOW,
        step=1.0,
        watch=lambda traffic: watch(FlowFeatures(_CAPACITY), traffic),
        groups=by_address,
        about_somebody=lambda batch: ~blank(batch.address),
        subject=lambda batch, row: f"address {batch.address.text(row)}",
        simulate=lambda seed: flow_traffic(seed, seconds=1800.0, step=1.0, hosts=3000),
        shorter=lambda seed: flow_traffic(seed, seconds=1800.0, step=1.0, hosts=300),
        enough=(12, 30),  # a page on a bad day fails as often as a scan of six ports
        intended_use=(
            "Judges source addresses by network flows (Zeek conn, Suricata flow): vertical and horizontal scans. Its "
            "verdicts go to the response policy and the guard."
        ),
        limits=(
            "Learnt scans alone: beacons, exfiltration and lateral movement are not among what it was shown.",
            "Scans slower than about one attempt in five seconds, or of fewer than a dozen, were not among what it was "
            "shown.",
            "An address is judged, not who is behind it: many behind one address look like one.",
            _SIMULATED,
        ),
    ),
    "pair": SubjectTask(
        schema=PAIR,
        kind=Kind.FLOW,
        step=60.0,
        watch=watch_pairs,
        groups=by_address,  # what a pair is judged by is in part its source's
        about_somebody=lambda batch: ~(blank(batch.address) | blank(batch.peer)),
        subject=lambda batch, row: f"address {batch.address.text(row)}",
        # Some kinds of honest pairs are had by two or three hosts of a bank: who learnt from one bank's day knew four
        # in five of another's hostile pairs, from three banks' days nine in ten, and that only with deeper trees.
        simulate=lambda seed: pair_traffic(seed, step=60.0, banks=3),
        shorter=lambda seed: pair_traffic(seed, step=60.0),
        enough=(1, 1),  # `watch_pairs` says when there is enough
        accused=0.0002,  # a host has some twenty pairs
        depth=6,
        thinned=thinned,
        intended_use=(
            "Judges pairs of source address and peer's port by their flows (Zeek conn, Suricata flow, Sysmon 3): "
            "beacons, retries on a dead command server, exfiltration, password guessing, lateral movement. Its "
            "verdicts name the source address and quote the peer; they go to the response policy and the guard."
        ),
        limits=(
            "Flows to a peer that more than 50 sources asked are not read, unless over a remote port or of 8 MB and "
            "more: a beacon by way of a service that everybody uses is not seen.",
            "A pair is judged from its eighth flow on, or from 5 MB sent in ten minutes; one over a remote port from "
            "the third host on that is new to its source.",
            "One first large upload to a peer that nobody else asks is exfiltration to it, whoever meant it well.",
            "A program that calls its maker by a strict timer with ever the same message, from one host alone, looks "
            "like a beacon, and a beacon that varies its gaps and sizes as people do like a person.",
            "Low and slow is seen as far as an hour between calls; a table that is full forgets the seldom first.",
            _SIMULATED,
        ),
    ),
    "name": Task(
        schema=NAME,
        kind=Kind.DNS,
        step=2.0,
        groups=by_address,
        about_somebody=lambda batch: ~blank(batch.address),
        subject=lambda batch, row: f"address {batch.address.text(row)}",
        simulate=lambda seed: name_traffic(seed, seconds=600.0, step=2.0),
        shorter=lambda seed: name_traffic(seed, seconds=600.0, step=2.0),
        watch=Heard.of,
        intended_use=(
            "Judges names that addresses ask for (Zeek dns, Suricata dns, Sysmon 22), each registered name once; many "
            "strange ones within minutes accuse the address: malware that looks for its master under names that an "
            "algorithm makes. Its verdicts go to the response policy and the guard."
        ),
        limits=(
            "Names made of dictionary words look like people's: such an algorithm is seen by its misses.",
            "Slower than some ten names in five minutes is not seen; nor is one that asks for one name alone.",
            "Sees no tunnel: what stands before the registered name is not read.",
            "Behind a resolver that asks for all, the resolver is accused.",
            _SIMULATED,
        ),
    ),
}
