"""Live gRPC streams in great number, at a cost that does not hide what is measured.

*Frames* are HTTP/2 as far as a stream that lives needs it. A *caller* is one principal's connection with its streams,
a *crowd* is all callers. The *upstream* answers each call with one message and holds it open. An *order* is a cut that
the gateway's admin socket is told. What else can be done with stock Envoy: a listener that is *drained*, sessions that
are *checked* every few seconds.
"""
