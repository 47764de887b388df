"""The peer: an Envoy of stock that asks OPA over ext_authz gRPC, with the starter policy and the same data.

It is OPA's own Envoy plugin where PORTCULLIS_OPA_ENVOY_PLUGIN names its binary. Else a small program of ours on OPA's
engine does the same, and less beside it.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.extensions.filters.http.ext_authz.v3 import ext_authz_pb2  # noqa: F401  # its descriptor
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
    HttpFilter,
)
from google.protobuf.json_format import ParseDict

from bench.edges.side import ENVOY, PLUGIN, Side
from bench.go import built
from bench.system import AUDIENCE, Issuer, plain_envoy, until
from deploy.demo.ports import free_port
from gateway.config import Config
from gateway.edge import Snapshot, TlsMaterial

_HERE = Path(__file__).parent
_SOURCE = _HERE / "opa_plugin"
_STARTER = _HERE.parents[1] / "policy" / "starter" / "access.rego"
_VARIABLE = "PORTCULLIS_OPA_ENVOY_PLUGIN"
_CLUSTER = "plugin"
_TYPES = "type.googleapis.com/"
_AUTHZ = "envoy.extensions.filters.http.ext_authz.v3.ExtAuthz"
_HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


@dataclass(frozen=True)
class Form:
    """One way of running the peer."""

    name: str
    token: str  # the module of adapter/ that says what a token claims
    logs: bool  # each decision to standard output, as JSON


FORM = Form("plugin", "verified", logs=False)  # the one that ratios are against
OTHER_FORMS = (Form("plugin_logged", "verified", logs=True), Form("plugin_decoded", "decoded", logs=False))


@dataclass(frozen=True)
class Program:
    """What answers Envoy."""

    path: str
    is_plugin: bool

    def command(self, form: Form, socket: Path, policy: Path) -> list[str]:
        """How it is started."""
        if not self.is_plugin:
            return [self.path, "-socket", str(socket), *(["-log"] if form.logs else []), str(policy)]
        plugged = (f"addr=unix://{socket}", "path=envoy/authz/allow", "skip-request-body-parse=true")
        settings = [f"plugins.envoy_ext_authz_grpc.{one}" for one in plugged]
        settings += ["decision_logs.console=true"] if form.logs else []
        server = ["run", "--server", "--addr", f"127.0.0.1:{free_port()}", "--log-level", "error"]
        return [self.path, *server, "--skip-version-check", *(f"--set={one}" for one in settings), str(policy)]

    def told(self) -> str:
        """Which it is, for the result."""
        if not self.is_plugin:
            return f"bench/edges/opa_plugin on OPA's engine {_engine()}, in place of opa-envoy-plugin"
        said = subprocess.run([self.path, "version"], capture_output=True, check=True, text=True).stdout
        return f"opa-envoy-plugin, OPA {said.splitlines()[0].removeprefix('Version: ')}"


def _engine() -> str:
    found = re.search(r"open-policy-agent/opa v(\S+)", (_SOURCE / "go.mod").read_text())
    return found[1] if found else "unknown"


def program() -> Program:
    """The one that there is. Raises CannotRun."""
    if path := os.environ.get(_VARIABLE):
        return Program(path, is_plugin=True)
    return Program(str(built("opa-ext-authz", _SOURCE)), is_plugin=False)


@asynccontextmanager
async def plugin(
    form: Form, answering: Program, config: Config, folder: Path, issuer: Issuer, tls: TlsMaterial | None
) -> AsyncIterator[Side]:
    """The peer in one form, and its Envoy, once both serve. Raises CannotRun."""
    socket, policy = folder / "plugin.sock", folder / "policy"
    await asyncio.to_thread(_prepare, policy, form, config, issuer)
    async with (
        _started(answering.command(form, socket, policy), socket) as child,
        plain_envoy(config, folder, tls, lambda stock: _asking(stock, socket)) as edge,
    ):
        yield Side(form.name, edge.port, {edge.pid: ENVOY, child.pid: PLUGIN})


def _prepare(policy: Path, form: Form, config: Config, issuer: Issuer) -> None:
    policy.mkdir()
    for source in (_STARTER, _HERE / "adapter" / "request.rego", _HERE / "adapter" / f"{form.token}.rego"):
        shutil.copy(source, policy)
    trusted = {"cert": issuer.public_key, "alg": "ES256", "iss": issuer.url, "aud": AUDIENCE}
    assert config.policy.data is not None
    (policy / "data.json").write_text(json.dumps({**json.loads(config.policy.data.read_text()), "trusted": trusted}))


@asynccontextmanager
async def _started(command: Sequence[str], socket: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    # Nobody keeps what it logs: that is in its favour.
    child = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.DEVNULL)
    try:
        await until(lambda: asyncio.to_thread(socket.exists), command[0], child)
        yield child
    finally:
        if child.returncode is None:
            child.kill()
        await child.wait()


def _asking(stock: Snapshot, socket: Path) -> Snapshot:
    """The same, with a filter that asks OPA and a cluster to ask it by."""
    (name, content), *_ = stock.of(_TYPES + Listener.DESCRIPTOR.full_name).items()
    listener, manager = Listener.FromString(content), HttpConnectionManager()
    http = listener.filter_chains[0].filters[0]
    http.typed_config.Unpack(manager)
    manager.http_filters.insert(0, ParseDict(_filter(), HttpFilter()))
    http.typed_config.Pack(manager)
    clusters = _TYPES + Cluster.DESCRIPTOR.full_name
    more = {_CLUSTER: ParseDict(_cluster(socket), Cluster()).SerializeToString()}
    return Snapshot(
        {
            **stock.types,
            clusters: {**stock.of(clusters), **more},
            _TYPES + Listener.DESCRIPTOR.full_name: {name: listener.SerializeToString()},
        }
    )


def _filter() -> dict[str, Any]:
    return {
        "name": "envoy.filters.http.ext_authz",
        "typed_config": {
            "@type": _TYPES + _AUTHZ,
            "transport_api_version": "V3",
            # Time enough that a plugin with more to do than it can is slow, and does not refuse.
            "grpc_service": {"envoy_grpc": {"cluster_name": _CLUSTER}, "timeout": "10s"},
            "allowed_headers": {"patterns": [{"exact": "authorization"}]},  # what the policy reads, and no more
        },
    }


def _cluster(socket: Path) -> dict[str, Any]:
    endpoint = {"lb_endpoints": [{"endpoint": {"address": {"pipe": {"path": str(socket)}}}}]}
    http2 = {"@type": _TYPES + _HTTP_OPTIONS, "explicit_http_config": {"http2_protocol_options": {}}}
    return {
        "name": _CLUSTER,
        "type": "STATIC",
        "connect_timeout": "2s",
        "typed_extension_protocol_options": {_HTTP_OPTIONS: http2},
        "load_assignment": {"cluster_name": _CLUSTER, "endpoints": [endpoint]},
    }
