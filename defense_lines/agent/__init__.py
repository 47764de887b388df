"""What runs on a line's own host. An agent connects to the gateway and carries out its orders; the enforcer checks an
order, writes it into the journal and has the firewall do it; the book is every order that stands; capabilities are what
the process may do as root, and all but one are given up at the start.

The programs are `portcullis line`, and `python -m defense_lines.agent.openc2_consumer` for OpenC2, whose own `Firewall`
keeps its order book in the kernel.
"""

from defense_lines.agent.capabilities import Capability, CapabilityError, confine, drop, effective, require
from defense_lines.agent.firewall import Firewall, Result
from defense_lines.agent.libnftables import NftablesUnavailable, NftError, unavailable
from defense_lines.agent.orders import InvalidOrder, Order
from defense_lines.agent.ruleset import TABLE_NAME, TABLE_NAME_RULE

__all__ = [
    "TABLE_NAME",
    "TABLE_NAME_RULE",
    "Capability",
    "CapabilityError",
    "Firewall",
    "InvalidOrder",
    "NftError",
    "NftablesUnavailable",
    "Order",
    "Result",
    "confine",
    "drop",
    "effective",
    "require",
    "unavailable",
]
