"""What people see. The *admin API* shows and changes the running gateway through its *operations*, over a Unix socket
that knows each caller's uid; the *command line* speaks to it; the *supervisor* keeps the processes alive.
"""
