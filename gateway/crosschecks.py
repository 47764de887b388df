"""Checks of the configuration that take more than one value, or a look at the disk, to make."""

from __future__ import annotations

import grp
import ipaddress
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

from gateway.bouncers_crosschecks import bouncers, bouncers_files
from gateway.broker_crosschecks import broker_files, brokers
from gateway.config import Branch, Config, Decisions, DecisionsTcp
from gateway.edge_crosschecks import edge, service_files
from gateway.guard_crosschecks import guard
from gateway.identity_crosschecks import issuers, token_service
from gateway.lines_crosschecks import lines, lines_files
from gateway.mesh_crosschecks import mesh, mesh_files
from gateway.signals_crosschecks import signal_files, signals
from gateway.transmitter_crosschecks import signals_transmitter
from gateway.trust_crosschecks import trust_domains, trust_files
from gateway.yaml_document import Key

Problem = tuple[Key, str]
_LONGEST_SOCKET = "run/envoy-admin.sock"
_SHORTEST_TOKEN = 16
_MAX_SOCKET_PATH = 107  # sun_path, less its final zero


def contradictions(config: Config) -> Iterator[Problem]:
    """What does not fit together in the values alone."""
    yield from _services(config)
    yield from _routes(config)
    yield from edge(config)
    yield from issuers(config)
    yield from token_service(config)
    yield from trust_domains(config)
    yield from signals(config)
    yield from _addresses(config)
    yield from guard(config)
    yield from _table(config)
    yield from _opa(config)
    yield from _workers(config)
    yield from signals_transmitter(config)
    if config.decisions:
        yield from _decisions(config, config.decisions)
    yield from mesh(config)
    yield from bouncers(config)
    yield from lines(config)
    yield from brokers(config)


def missing_files(config: Config) -> Iterator[Problem]:
    """What the configuration names and the disk does not hold."""
    if config.edge.tls:
        yield from _file(("edge", "tls", "certificate"), config.edge.tls.certificate)
        yield from _file(("edge", "tls", "key"), config.edge.tls.key)
        yield from _file(("edge", "tls", "client_ca"), config.edge.tls.client_ca)
    for place, path in (
        *trust_files(config),
        *signal_files(config),
        *service_files(config),
        *mesh_files(config),
        *lines_files(config),
        *broker_files(config),
    ):
        yield from _file(place, path)
    if config.policy.opa.tls:
        yield from _files(("policy", "opa", "tls"), config.policy.opa.tls, ("ca", "certificate", "key"))
    for place, path in bouncers_files(config):
        yield from _file(place, path)
    if config.decisions:
        yield from _decisions_files(config.decisions)
    yield from _groups(config)
    yield from _files(("policy",), config.policy, ("data", "opa_path"))
    for index, issuer in enumerate(config.identity.issuers):
        if issuer.introspection:
            key: Key = ("identity", "issuers", index, "introspection")
            yield from _files(key, issuer.introspection, ("client_secret_file",))
    for index, path in enumerate(config.policy.paths):
        if not path.exists():
            yield ("policy", "paths", index), f"there is no {path}"
    if config.detectors.models and not config.detectors.models.is_dir():
        yield ("detectors", "models"), f"there is no folder {config.detectors.models}"
    for index, path in enumerate(config.detectors.trusted_keys):
        yield from _file(("detectors", "trusted_keys", index), path)
    yield from _state(config.state)


def _services(config: Config) -> Iterator[Problem]:
    for name in config.services:
        if not name:
            yield ("services", name), "a service needs a name"


def _routes(config: Config) -> Iterator[Problem]:
    if not config.routes:
        yield ("routes",), "there must be at least one route"
    for index, route in enumerate(config.routes):
        if not route.prefix.startswith("/"):
            yield ("routes", index, "prefix"), f"must start with '/', not {route.prefix!r}"
        if route.service not in config.services:
            known = ", ".join(config.services) or "none"
            yield ("routes", index, "service"), f"there is no service {route.service!r} (there are: {known})"
        for earlier in range(index):
            if route.prefix.startswith(config.routes[earlier].prefix):
                yield ("routes", index, "prefix"), f"never reached: routes.{earlier} matches all of it first"
                break


def _workers(config: Config) -> Iterator[Problem]:
    if config.gateway.workers > 1 and config.policy.engine != "embedded":
        yield ("gateway", "workers"), "more than one is for the embedded engine: else the gateway only asks another"


def _addresses(config: Config) -> Iterator[Problem]:
    try:
        ipaddress.ip_address(config.edge.address)
    except ValueError:
        yield ("edge", "address"), f"must be an IPv4 or IPv6 address, not {config.edge.address!r}"
    if config.metrics_port == config.edge.port:
        yield ("metrics_port",), "is the edge's port"


def _table(config: Config) -> Iterator[Problem]:
    line = config.lines.nftables
    if line is None or "table" not in line.model_fields_set:
        return
    # Here, so that only who names a table waits for the floor below to load.
    from defense_lines.agent import TABLE_NAME, TABLE_NAME_RULE

    if not TABLE_NAME.fullmatch(line.table):
        yield ("lines", "nftables", "table"), f"must be {TABLE_NAME_RULE}"


def _opa(config: Config) -> Iterator[Problem]:
    tls = config.policy.opa.tls
    if tls and (tls.certificate is None) != (tls.key is None):
        yield ("policy", "opa", "tls"), "a certificate and its key come together"


def _decisions(config: Config, decisions: Decisions) -> Iterator[Problem]:
    if decisions.unix is None and decisions.tcp is None:
        yield ("decisions",), "needs a socket: unix, tcp or both"
    if decisions.unix and decisions.unix.group and decisions.unix.path is None:
        yield ("decisions", "unix", "group"), "needs a path of its own: nobody else may enter the state folder"
    if decisions.token and decisions.token_file:
        yield ("decisions", "token_file"), "there is a token already"
    if decisions.token and len(decisions.token.get_secret_value()) < _SHORTEST_TOKEN:
        yield ("decisions", "token"), f"must have at least {_SHORTEST_TOKEN} characters"
    if decisions.url is not None and not _is_identifier(decisions.url):
        yield ("decisions", "url"), "must be an https:// address without path, query and fragment"
    if decisions.tcp:
        yield from _decisions_address(config, decisions.tcp)


def _decisions_address(config: Config, tcp: DecisionsTcp) -> Iterator[Problem]:
    try:
        ipaddress.ip_address(tcp.address)
    except ValueError:
        yield ("decisions", "tcp", "address"), f"must be an IPv4 or IPv6 address, not {tcp.address!r}"
    if tcp.port in (config.edge.port, config.metrics_port):
        yield ("decisions", "tcp", "port"), "is the edge's port, or the metrics'"


def _is_identifier(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return (
            parts.scheme == "https"
            and bool(parts.hostname)
            and url in (f"https://{parts.netloc}", f"https://{parts.netloc}/")
        )
    except ValueError:
        return False


def _decisions_files(decisions: Decisions) -> Iterator[Problem]:
    yield from _files(("decisions",), decisions, ("token_file",))
    if decisions.tcp:
        yield from _files(("decisions", "tcp", "tls"), decisions.tcp.tls, ("certificate", "key", "client_ca"))


def _groups(config: Config) -> Iterator[Problem]:
    for name, branch in (("decisions", config.decisions), ("mesh", config.mesh)):
        group = branch.unix.group if branch and branch.unix else None
        if group is not None and group not in {known.gr_name for known in grp.getgrall()}:
            yield (name, "unix", "group"), f"there is no group {group!r}"


def _files(key: Key, branch: Branch, names: Iterable[str]) -> Iterator[Problem]:
    for name in names:
        yield from _file((*key, name), getattr(branch, name))


def _file(key: Key, path: Path | None) -> Iterator[Problem]:
    if path is not None and not path.is_file():
        yield key, f"there is no file {path}"


def _state(state: Path) -> Iterator[Problem]:
    if state.exists() and not state.is_dir():
        yield ("state",), f"{state} is not a folder"
    length = len(str(state.absolute() / _LONGEST_SOCKET).encode())
    if length > _MAX_SOCKET_PATH:
        yield ("state",), f"its path is {length - _MAX_SOCKET_PATH} bytes too long for Unix sockets below it"
