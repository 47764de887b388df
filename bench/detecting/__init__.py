"""What `bench detection` is made of: a file for each public data set, which learns from its training part with
each seed and is scored once on its test part, ours and a peer alike; and the figures that a score is told in.
"""
