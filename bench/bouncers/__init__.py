"""Debian's firewall bouncer behind us and behind stock CrowdSec: who orders, who polls, what the kernel says of it."""
