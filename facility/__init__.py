"""The shared words of Coldaisle: what a reading, an alarm, a device and a block are.

A leaf: it imports nothing of the other packages, no event loop, no database, no network.
"""
