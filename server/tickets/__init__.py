"""Tickets: what must be done, by whom, and everything that happened on the way."""
