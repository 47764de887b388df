"""What `python -m bench events` is made of: traffic is the bank's telemetry, a feed is the gateway's end of the
detectors' socket, and a worker is their process.
"""
