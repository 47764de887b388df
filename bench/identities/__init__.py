"""Callers with every kind of proof, and how fast the gateway and a plain library know them."""
