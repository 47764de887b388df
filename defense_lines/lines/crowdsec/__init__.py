"""CrowdSec's bouncers as lines: each speaks to us as it would to CrowdSec's own local API, unmodified.

*Addresses* are the blocks that stand on addresses and ranges, looked up in flat time; a *decision* is such a block in
CrowdSec's words. What changes has a place in the *journal*. A bouncer that polls the stream has a *delivery*: up to
which place it was told, and what its polls prove; one that asks about single addresses is answered from the addresses.
*Bouncers* knows them all by their keys, and the *application* is the API over HTTP. *Recall* finds in the ledger what
was before.
"""

from defense_lines.lines.crowdsec.addresses import Addresses
from defense_lines.lines.crowdsec.application import BouncerApi
from defense_lines.lines.crowdsec.bouncers import Bouncer, Bouncers, Hub
from defense_lines.lines.crowdsec.connection import Link
from defense_lines.lines.crowdsec.recall import recall

__all__ = ["Addresses", "Bouncer", "BouncerApi", "Bouncers", "Hub", "Link", "recall"]
