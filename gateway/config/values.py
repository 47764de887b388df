"""What many branches are made of."""

from __future__ import annotations

from ipaddress import IPv6Network, ip_network
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError


def _no_boolean(value: object) -> object:
    # Python takes True for 1, and YAML takes yes, on and true for True.
    if isinstance(value, bool):
        raise PydanticCustomError("number", "should be a number, not yes or no")
    return value


Integer = Annotated[int, BeforeValidator(_no_boolean)]
Real = Annotated[float, BeforeValidator(_no_boolean)]
Port = Annotated[Integer, Field(ge=1, le=65535)]


def _range(text: str) -> str:
    network = ip_network(text)
    if not network.prefixlen:
        raise PydanticCustomError("range", "is everybody")
    if isinstance(network, IPv6Network) and network.network_address.ipv4_mapped and network.prefixlen >= 96:
        raise PydanticCustomError("range", "must be written as IPv4")
    return str(network)


Range = Annotated[str, AfterValidator(_range)]  # of addresses, in CIDR notation


class Branch(BaseModel):
    """A part of the tree."""

    model_config = ConfigDict(extra="forbid", frozen=True)
