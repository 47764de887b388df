"""A seeded bank at work. A track is what one subject does for a while, as columns; traffic is many tracks laid over one
another and cut into event batches, with the truth beside each row. People, batch agents and sensors are honest;
taken-over agents, stolen sessions, credential stuffing, scanners and
machines on which an algorithm makes names are not. Names come by origin: a family of algorithms, or people. Same seed,
same traffic, to the byte.
"""

from detectors.simulator.access import access_traffic, takeover
from detectors.simulator.days import honest_days
from detectors.simulator.flows import flow_traffic
from detectors.simulator.lookups import name_traffic
from detectors.simulator.names import NamesOf, simulated_names
from detectors.simulator.pairs import honest_flows, kind_traffic, pair_traffic
from detectors.simulator.tracks import Labelled, Track, play

VERSION = "4"  # of what is simulated; part of a model's lineage

__all__ = [
    "VERSION",
    "Labelled",
    "NamesOf",
    "Track",
    "access_traffic",
    "flow_traffic",
    "honest_days",
    "honest_flows",
    "kind_traffic",
    "name_traffic",
    "pair_traffic",
    "play",
    "simulated_names",
    "takeover",
]
