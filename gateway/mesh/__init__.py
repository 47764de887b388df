"""The mesh: Envoys that are not our edge, the bank's own or Istio's, which ask us over gRPC what our edge asks.

The *listener* opens the sockets and lets in who may ask; a *connection* holds a peer to its bounds.
"""

from gateway.mesh.listener import serve_mesh

__all__ = ["serve_mesh"]
