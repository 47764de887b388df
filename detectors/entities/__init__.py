"""Who is behind it. A place is an address or a host; a principal is a person, a workload or an agent, by id. A claim is
what one event says: that a principal was at a place, proven or only told. A pair is a place and a principal with all
the claims that join them, damped by age; whoever is behind a place is told from the pairs that it has, with confidence.
"""

from detectors.entities.behind import NAMED, Behind
from detectors.entities.entities import Entities

__all__ = ["NAMED", "Behind", "Entities"]
