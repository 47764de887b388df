"""What is known of each subject. A group is the rows of a batch that are about one subject; a slot is a subject's
place in the state arrays; a turn is one batch as the state sees it. Sums are damped by age, things touched are
remembered as bits, and `matrix` hands a model one row of numbers a subject.
"""

from detectors.features.access import AccessFeatures
from detectors.features.damped import Clocks, Damped
from detectors.features.flow import FlowFeatures
from detectors.features.subjects import Groups, Key, Subjects, by_actor, by_address, identified, nameless

__all__ = [
    "AccessFeatures",
    "Clocks",
    "Damped",
    "FlowFeatures",
    "Groups",
    "Key",
    "Subjects",
    "by_actor",
    "by_address",
    "identified",
    "nameless",
]
