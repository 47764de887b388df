"""Command line: noun and verb, data on stdout, the rest on stderr."""
