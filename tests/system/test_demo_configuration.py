"""What the demo writes is a configuration that the gateway accepts."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
from cryptography import x509

from deploy.demo.cast import BATCH
from deploy.demo.configuration import Run
from deploy.demo.ports import free_ports
from deploy.demo.sandbox import Network
from gateway.configuration import load


@pytest.fixture
def network() -> Network:
    return Network(("attacker", "branch"), isolated=False)


@pytest.fixture
def run(network: Network) -> Iterator[Run]:
    made = Run.make(network)
    yield made
    shutil.rmtree(made.folder)


@pytest.mark.parametrize("lines", [("edge",), ("edge", "nftables"), ("edge", "nftables", "openc2")])
def test_written_configuration_loads(run: Run, network: Network, lines: tuple[str, ...]) -> None:
    run.write(network, lines, 60)
    config = load(run.file, {}).config
    assert config.state == run.state
    assert (config.lines.nftables is not None, config.lines.openc2 is not None) == (len(lines) > 1, len(lines) > 2)
    assert config.policy.paths == (run.folder / "policy",)


def test_core_banking_host_may_never_be_blocked(run: Run, network: Network) -> None:
    run.write(network, ("edge",), 60)
    assert network.bank_range in load(run.file, {}).config.guard.never_block_addresses
    assert network.core_address.rpartition(".")[0] == network.bank_range.rpartition(".")[0]


def test_policies_of_the_run_are_the_starter_policies(run: Run) -> None:
    assert {"access.rego", "response.rego"} <= {path.name for path in (run.folder / "policy").iterdir()}


def test_workload_certificate_is_a_svid(run: Run) -> None:
    leaf = x509.load_pem_x509_certificate(run.certificates.workload.read_bytes())
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == [BATCH]
    assert not leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert run.certificates.workload_key.stat().st_mode & 0o077 == 0


def test_free_ports_differ() -> None:
    assert len(set(free_ports(20))) == 20
