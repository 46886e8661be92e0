"""Traps and informs: received, matched to a device and understood through its profile.

`receiver` speaks SNMP; everything else here is pure and takes values and the time.
"""
