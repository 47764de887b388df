"""What runs on a line's own host. An agent is a process that carries out orders on one firewall; an order blocks one
network until a moment; the order book is every order that stands, kept in the kernel; capabilities are what the
process may do as root, and all but one are given up at the start.

The agents themselves are programs: `python -m defense_lines.agent.nftables_agent` and
`python -m defense_lines.agent.openc2_consumer`.
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
