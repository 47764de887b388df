"""Sources turn somebody's words into events. A parser is a pure function of one line; `follow` reads a growing file,
`subscribe` an MQTT topic; access logs arrive as messages and become columns directly.
"""
