"""What `bench decision` is made of. A *case* is a policy with its data and inputs, given to every engine alike; an
*engine* answers it and is timed; a *form* is one way of asking the same engine, of which the best counts.
"""
