"""Which AI agents there are. A profile is what somebody declares of an agent: its owner, purpose, model, tools and
amounts; an agent is a profile with its state. The registry holds them all and judges chains of them; the registrar
takes operators' orders: a kill switch works at once, everything else when it is durable.
"""

from gateway.agents.agent import Agent, Profile, State
from gateway.agents.chain import chain_allowed
from gateway.agents.order import Order, Verb
from gateway.agents.registrar import Registrar
from gateway.agents.registry import Registry
from gateway.agents.store import AgentsUnreadable, AgentsUnwritable, Change, Store
from gateway.agents.vetting import Vetting

__all__ = [
    "Agent",
    "AgentsUnreadable",
    "AgentsUnwritable",
    "Change",
    "Order",
    "Profile",
    "Registrar",
    "Registry",
    "State",
    "Store",
    "Verb",
    "Vetting",
    "chain_allowed",
]
