"""Benchmarks. Each one measures Portcullis and its *peer* in the same run, in turns, and ends with a *ratio*.

`python -m bench NAME --json` runs `bench/NAME.py` and ends with one line of JSON: a *result* with its figures, its
ratios, who the peer was and how many rounds there were. A *round* measures each side once.
"""
