"""What is known of each subject. A group is the rows of a batch that are about one subject; a slot is a subject's
place in the state arrays; a turn is one batch as the state sees it. Sums are damped by age, things touched are
remembered as bits, and `matrix` hands a model one row of numbers a subject. Labels are the parts of names that somebody
registered.
"""

from detectors.features.access import AccessFeatures
from detectors.features.damped import Damped, Turn, take_turn
from detectors.features.flow import FlowFeatures
from detectors.features.groups import Groups, blank, by_actor, by_address, identified, nameless
from detectors.features.labels import Labels, labels
from detectors.features.names import shape
from detectors.features.table import Table

__all__ = [
    "AccessFeatures",
    "Damped",
    "FlowFeatures",
    "Groups",
    "Labels",
    "Table",
    "Turn",
    "blank",
    "by_actor",
    "by_address",
    "identified",
    "labels",
    "nameless",
    "shape",
    "take_turn",
]
