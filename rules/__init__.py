"""The alarm rules: what is judged, by which limits, and the pure engine that turns readings into alarm events.

Nothing here reads a clock, a socket or a database: time comes with the readings and with `Engine.advance`.
"""
