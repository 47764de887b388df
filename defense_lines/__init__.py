"""How it is stopped. The guard says which block policies may stand; the ledger makes them durable; the hub pushes
them to every line at once; a line enforces and answers with a receipt.
"""

from defense_lines.line import DefenseLine, EdgePort, LineUnavailable, Outcome, Receipt

__all__ = ["DefenseLine", "EdgePort", "LineUnavailable", "Outcome", "Receipt"]
