"""Where lines' agents connect, over TLS in which both sides prove themselves: a line is named by its certificate."""

from __future__ import annotations

import asyncio

from cryptography import x509

from defense_lines import Hub, Ledger
from defense_lines.lines.remote import Followed, RemoteLines
from gateway.config import AgentLines
from gateway.keeping import keep_running
from gateway.listening import Door, mutual_tls, tcp_listener


async def run_agents(settings: AgentLines, hub: Hub, ledger: Ledger) -> None:
    """Let agents in until cancelled."""
    followed = Followed("ledger", lambda: ledger.last_order)
    lines = RemoteLines(followed, _name, hub.attach, hub.detach)
    trust = await asyncio.to_thread(mutual_tls, settings.tls, "http/1.1")
    door = Door(lines.connection, settings.max_connections, lambda: None)  # type: ignore[arg-type]
    await keep_running("agents", lambda: door.serve(tcp_listener(settings.address, settings.port), trust))


def _name(transport: asyncio.BaseTransport, path: str) -> str:
    der = transport.get_extra_info("ssl_object").getpeercert(binary_form=True)
    names = x509.load_der_x509_certificate(der).extensions.get_extension_for_class(x509.SubjectAlternativeName)
    return next(iter(names.value.get_values_for_type(x509.DNSName)), "")
