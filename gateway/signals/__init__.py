"""Shared Signals (OpenID SSF 1.0): what the bank's systems tell one another about sessions, devices and risk."""
