"""The sample bank and its story.

A *bank* (HTTP accounts and payments, a gRPC ledger, statement streams) and its token *issuer* run as children of the
*world*, beside a broker, an OpenC2 consumer and Portcullis itself. Every caller sits on a *host*: a network namespace
with an address of its own inside the *sandbox*, so that packets that no longer arrive can be seen not to arrive. The
*cast* says who is who; *sensors* write what the bank's branch and endpoint agents would report. The *story* plays nine
*steps*; each checks what it claims, and measures it.
"""
