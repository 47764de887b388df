"""The tree of processes: which there are, and what each may hold."""

from __future__ import annotations

import json
from pathlib import Path

from console.processes import parts
from defense_lines.agent import Capability
from gateway.config import Config, Edge, GatewayProcesses, Lines, NftablesLine, Route, Service

BANK = Config(
    services={"accounts": Service(address="127.0.0.1", port=8080)}, routes=(Route(prefix="/", service="accounts"),)
)


def test_each_process_keeps_what_it_needs_and_no_more(tmp_path: Path) -> None:
    every = BANK.model_copy(update={"edge": Edge(port=443), "lines": Lines(nftables=NftablesLine())})
    assert {part.name: set(part.keep) for part in parts(every, Path("bank.yaml"), tmp_path, {})} == {
        "edge": {10},  # CAP_NET_BIND_SERVICE, for a port below 1024
        "gateway": set(),
        "detectors": set(),
        "nftables": {Capability.NET_ADMIN},
    }


def test_an_edge_on_a_high_port_keeps_nothing_and_no_line_means_no_process(tmp_path: Path) -> None:
    children = parts(BANK, Path("bank.yaml"), tmp_path, {})
    assert {part.name: set(part.keep) for part in children} == {"edge": set(), "gateway": set(), "detectors": set()}
    assert list(children[1].command[1:]) == ["-m", "console.cli", "run", "gateway", "--reborn", "-c", "bank.yaml"]


def test_judges_beside_the_gateway_have_a_parent_without_secrets(tmp_path: Path) -> None:
    several = BANK.model_copy(update={"gateway": GatewayProcesses(workers=3)})
    judges = parts(several, Path("bank.yaml"), tmp_path, {"PORTCULLIS__POLICY__OPA__TOKEN": "hunter2"})[-1]
    assert (judges.name, set(judges.keep)) == ("judges", set())
    assert list(judges.command[-4:]) == ["run", "judges", "-c", "bank.yaml"]
    assert "hunter2" not in str(judges)


def test_the_edge_is_given_nothing_of_ours_and_only_the_gateway_secrets(tmp_path: Path) -> None:
    environ = {
        "PATH": "/bin",
        "LANG": "C.UTF-8",
        "SSH_AUTH_SOCK": "/tmp/agent",
        "PORTCULLIS__STATE": "state",
        "PORTCULLIS__POLICY__OPA__TOKEN": "hunter2",
        "PORTCULLIS__LINES": '{"nftables": {"table": "bank"}, "openc2": {"broker": {"password": "hunter2"}}}',
    }
    edge, gateway, detectors = (part.environment for part in parts(BANK, Path("bank.yaml"), tmp_path, environ))
    assert edge == {"PATH": "/bin", "LANG": "C.UTF-8"}
    assert gateway == environ
    assert "hunter2" not in str(detectors)
    assert detectors["PORTCULLIS__STATE"] == "state"
    assert json.loads(detectors["PORTCULLIS__LINES"])["nftables"] == {"table": "bank"}
