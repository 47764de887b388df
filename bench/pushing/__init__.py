"""What `bench push` is made of: a *crowd* of agents, hundreds to a process, each with a certificate of one *authority*;
*blocks* that are ordered on the gateway's admin socket, one at a time or a *flood* of them, and whose stories say when
each line had carried them out; a *bystander* who asks the gateway meanwhile. A *fan-out* is what a broker alone does.
"""
