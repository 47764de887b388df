"""What `bench invalidate` is made of: *signals* that are ordered on the admin socket, a *probe* that asks meanwhile on
connections of which it is known whose they are among Envoy's workers, and the *load* beside both.
"""
