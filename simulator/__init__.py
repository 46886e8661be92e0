"""A machine room on loopback: SNMP and Modbus devices over a small physical model, with faults to drill.

It is an independent witness: it imports nothing of the agent, the server, the collectors, the rules or the shared
words, and its registers and object identifiers come from the devices' own documentation, never from our profiles.
"""
