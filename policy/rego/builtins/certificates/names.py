"""Names in certificates, in Go's shape: distinguished names, and what stands in lists of general names."""

from __future__ import annotations

import base64
import ipaddress
import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote, unquote_to_bytes

from cryptography import x509
from cryptography.x509.oid import NameOID

from policy.rego.builtins.operands import text_of

_LISTS = {
    NameOID.COUNTRY_NAME: "Country",
    NameOID.ORGANIZATION_NAME: "Organization",
    NameOID.ORGANIZATIONAL_UNIT_NAME: "OrganizationalUnit",
    NameOID.LOCALITY_NAME: "Locality",
    NameOID.STATE_OR_PROVINCE_NAME: "Province",
    NameOID.STREET_ADDRESS: "StreetAddress",
    NameOID.POSTAL_CODE: "PostalCode",
}
_TEXTS = {NameOID.COMMON_NAME: "CommonName", NameOID.SERIAL_NUMBER: "SerialNumber"}
_URI = re.compile(r"(?:([A-Za-z][A-Za-z0-9+.-]*):)?(//[^/]*)?(.*)", re.DOTALL)
_PATH_SAFE, _FRAGMENT_SAFE = "$&+,/:;=@~", "$&+,/:;=@~?!()*"


def numbers(oid: x509.ObjectIdentifier) -> list[int]:
    """An object identifier's numbers."""
    return [int(number) for number in oid.dotted_string.split(".")]


def distinguished(name: x509.Name) -> dict[str, Any]:
    """A subject or issuer."""
    record: dict[str, Any] = dict.fromkeys([*_LISTS.values(), "Names", "ExtraNames"]) | dict.fromkeys(
        _TEXTS.values(), ""
    )
    for attribute in name:
        if attribute.oid in _LISTS:
            kind = _LISTS[attribute.oid]
            record[kind] = [*(record[kind] or ()), attribute.value]
        elif attribute.oid in _TEXTS:
            record[_TEXTS[attribute.oid]] = attribute.value
        record["Names"] = [*(record["Names"] or ()), {"Type": numbers(attribute.oid), "Value": attribute.value}]
    return record


def alternative(names: Iterable[x509.GeneralName]) -> dict[str, Any]:
    """Alternative names of a subject, by kind; other kinds than these are left out."""
    given = list(names)
    return {
        "DNSNames": values(given, x509.DNSName),
        "EmailAddresses": values(given, x509.RFC822Name),
        "IPAddresses": [str(address) for address in values(given, x509.IPAddress) or ()] or None,
        "URIs": [uri(text) for text in values(given, x509.UniformResourceIdentifier) or ()] or None,
    }


def values(names: Iterable[x509.GeneralName], kind: type[Any]) -> list[Any] | None:
    """Values of all names of one kind; None if there are none."""
    return [name.value for name in names if isinstance(name, kind)] or None


def network(block: ipaddress.IPv4Network | ipaddress.IPv6Network) -> dict[str, str]:
    """A range of addresses."""
    return {"IP": str(block.network_address), "Mask": base64.b64encode(block.netmask.packed).decode()}


def uri(given: str) -> dict[str, Any]:
    """A URI (RFC 3986), taken apart."""
    rest, _, fragment = given.partition("#")
    scheme, authority, rest = _URI.fullmatch(rest).groups("")  # type: ignore[union-attr]
    path, mark, query = rest.partition("?")
    opaque = path if scheme and not authority and not path.startswith("/") else ""
    return {
        "Scheme": scheme.lower(),
        "Opaque": opaque,
        "User": {} if "@" in authority else None,
        "Host": _unescaped(authority.removeprefix("//").rpartition("@")[2]),
        **_part("Path", "" if opaque else path, _PATH_SAFE),
        "OmitHost": bool(scheme) and not authority and path.startswith("/"),
        "ForceQuery": bool(mark) and not query,
        "RawQuery": query,
        **_part("Fragment", fragment, _FRAGMENT_SAFE),
    }


def _part(name: str, escaped: str, safe: str) -> dict[str, str]:
    """A part as it reads; as it was written too, unless one would write it so."""
    plain = _unescaped(escaped)
    return {name: plain, f"Raw{name}": "" if quote(plain, safe=safe) == escaped else escaped}


def _unescaped(escaped: str) -> str:
    return text_of(unquote_to_bytes(escaped))
