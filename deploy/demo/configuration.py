"""Writes one run's folder: the configuration that `portcullis up` reads, policies, certificates, sensor files."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from deploy.demo.cast import AUDIENCE, DATA, GRPC_SERVICE, HTTP_SERVICE, ROOT
from deploy.demo.certificates import Certificates
from deploy.demo.ports import free_ports
from deploy.demo.sandbox import Network

STARTER = ROOT / "policy" / "starter"
LONGEST_FOLDER = 75  # characters; a Unix socket's path, below it, may have 107


@dataclass(frozen=True, slots=True)
class Ports:
    """TCP ports of the bank's own parts, all on addresses that only this run can reach in a sandbox."""

    edge: int
    http: int
    grpc: int
    issuer: int
    broker: int
    metrics: int

    @classmethod
    def free(cls) -> Ports:
        """Six ports that nothing listens on now."""
        return cls(*free_ports(6))


@dataclass(frozen=True, slots=True)
class Run:
    """The folder of one run and what lies in it."""

    folder: Path
    ports: Ports
    certificates: Certificates

    @classmethod
    def make(cls, network: Network) -> Run:
        """Make the folder with its policies, certificates and empty sensor file."""
        folder = _new_folder()
        shutil.copytree(STARTER, folder / "policy", ignore=shutil.ignore_patterns("*.py", "__pycache__"))
        shutil.copy(DATA, folder / "data.json")
        (folder / "logs").mkdir()
        (folder / "eve.json").touch()
        return cls(folder, Ports.free(), Certificates.write(folder / "certificates", network.edge_address))

    @property
    def file(self) -> Path:
        """The configuration."""
        return self.folder / "portcullis.yaml"

    @property
    def state(self) -> Path:
        """The state folder of `portcullis up`."""
        return self.folder / "state"

    @property
    def openc2_key(self) -> Path:
        """The key that signs what the OpenC2 consumer is told."""
        return self.folder / "openc2.key"

    @property
    def enrolment(self) -> Path:
        """What the OpenC2 consumer knows of it."""
        return self.folder / "openc2.enrolment"

    @property
    def jwks(self) -> Path:
        """The public keys by which the bank knows the gateway."""
        return self.state / "jwks.json"

    @property
    def issuer_url(self) -> str:
        """The token issuer."""
        return f"http://127.0.0.1:{self.ports.issuer}"

    def write(self, network: Network, lines: Sequence[str], blocks_per_minute: int) -> None:
        """Write the configuration. `lines`: which there are, beside the edge."""
        tree = {
            "state": str(self.state),
            "edge": self._edge(network),
            "services": {
                HTTP_SERVICE: {"address": "127.0.0.1", "port": self.ports.http},
                GRPC_SERVICE: {"address": "127.0.0.1", "port": self.ports.grpc, "protocol": "grpc"},
            },
            "routes": ROUTES,
            "identity": {
                "realm": "bank",
                "issuers": [
                    {
                        "issuer": self.issuer_url,
                        "jwks_url": f"{self.issuer_url}/jwks",
                        "audience": AUDIENCE,
                        "vouches_for": ["person", "workload", "agent"],
                    },
                ],
                "trust_domains": [{"name": "bank.example"}],
            },
            "policy": {"paths": [str(self.folder / "policy")], "data": str(self.folder / "data.json")},
            "telemetry": {"eve": [str(self.folder / "eve.json")], "mqtt": {"broker": self._broker()}},
            "guard": _guard(network, blocks_per_minute),
            "lines": self._lines(lines),
            "metrics_port": self.ports.metrics,
        }
        self.file.write_text(yaml.safe_dump(tree, sort_keys=False))

    def _edge(self, network: Network) -> dict[str, Any]:
        tls = {"certificate": self.certificates.edge, "key": self.certificates.edge_key}
        tls["client_ca"] = self.certificates.authority
        files = {name: str(path) for name, path in tls.items()}
        return {"address": network.edge_address, "port": self.ports.edge, "tls": files, "drain_seconds": 1}

    def _lines(self, lines: Sequence[str]) -> dict[str, Any]:
        known = {"nftables": {"table": "portcullis"}, "openc2": self._openc2()}
        return {name: branch for name, branch in known.items() if name in lines}

    def _openc2(self) -> dict[str, Any]:
        return {"broker": self._broker(), "consumers": ["openc2"], "signing_key": str(self.openc2_key)}

    def _broker(self) -> dict[str, Any]:
        return {"host": "127.0.0.1", "port": self.ports.broker}


ROUTES = [
    {"prefix": "/streams/", "service": "accounts", "stream": True},
    {"prefix": "/accounts/", "service": "accounts"},
    {"prefix": "/payments", "service": "accounts", "body_bytes": 8192},
    {"prefix": "/bank.Ledger/Watch", "service": "ledger", "stream": True},
    {"prefix": "/bank.Ledger/", "service": "ledger"},
]


def _guard(network: Network, blocks_per_minute: int) -> dict[str, Any]:
    never = ["127.0.0.0/24", "::1/128", network.bank_range]
    return {"never_block_addresses": never, "blocks_per_minute": blocks_per_minute}


def _new_folder() -> Path:
    runs = ROOT / ".portcullis" / "demo"
    runs.mkdir(parents=True, exist_ok=True)
    usable = len(str(runs)) + 10 <= LONGEST_FOLDER and os.access(runs, os.W_OK)
    return Path(tempfile.mkdtemp(prefix="", dir=runs) if usable else tempfile.mkdtemp(prefix="portcullis-"))
