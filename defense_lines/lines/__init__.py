"""The lines that carry out block policies, one driver a file. A driver speaks to one actuator, answers each order with
a receipt, and never retries, waits or expires: its supervisor does.
"""

from defense_lines.lines.edge import EdgeLine

__all__ = ["EdgeLine"]
