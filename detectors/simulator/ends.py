"""What names end with: what people register under, as often as they do, and what algorithms' authors buy."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from detectors.simulator.lexicon import countries

# Percent, about; the rest are one another's equal
_CHOSEN_TEXT = (
    "com 48 net 5 org 5 ru 4 de 4 info 2 biz .5 br 1 fr 1.5 it 1.5 pl 1.5 nl 1.2 es 1 eu 1 cz .7 ca .7 jp 1 se .6 "
    "ch .6 be .5 us .6 tv .7 io .8 co .7 me .6 cc .3 gr .5 ro .5 "
    "hu .4 ua .6 ir 1 cn 1 vn .4 id .3 edu .8 gov .3 dk .4 no .3 "
    "at .4 xyz .3 club .2 online .2 su .1 tk .2 pw .1 "
    "co.uk 2 com.br 1.5 com.au 1 co.jp .7 co.in .4 com.tr .5 com.mx .3 "
    "co.za .4 com.cn .4 org.uk .3 com.tw .3 com.ua .3 blogspot.com .4 github.io .1 ddns.net .1"
)
_BOUGHT_TEXT = (
    "com 25 net 9 org 5 info 5 biz 5 ru 5 su 2 cc 2 tk 1 eu 2 pw 1 ws 1 me 1 in 1 co.uk 1 cn 1 us 1 de 1 kz 1 xyz 1 "
    "top 1 site 1 ddns.net 2 dyndns.org 1 mooo.com 1 duckdns.org 1 no-ip.biz 1 hopto.org 1"
)
_CHOSEN, _BOUGHT = _CHOSEN_TEXT.split(), _BOUGHT_TEXT.split()
_WIDE = 0.25  # share of the families that take whatever there is


def chosen_ends(rng: Generator, count: int) -> NDArray[np.str_]:
    """Ends of names that people chose, one each."""
    return rng.choice(_CHOSEN[::2], count, p=_shares(_CHOSEN))


def bought_ends(rng: Generator) -> NDArray[np.str_]:
    """The ends that one family of algorithms uses: a few that are cheap, or many."""
    if rng.random() < _WIDE:
        every = sorted({*_BOUGHT[0:24:2], *countries()})
        return rng.choice(every, int(rng.integers(20, 150)), replace=False)
    return rng.choice(_BOUGHT[::2], int(rng.integers(1, 7)), replace=False, p=_shares(_BOUGHT))


def _shares(table: list[str]) -> NDArray[np.float64]:
    odds = np.array(table[1::2], float)
    shares: NDArray[np.float64] = odds / odds.sum()
    return shares
