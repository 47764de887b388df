"""What `bench inline` measures: *variants* of the protocol, and *sides* that take turns under the same load.

A side is an Envoy with what it asks: nothing, Portcullis, or OPA's Envoy plugin. All have the same listener and routes.
"""
