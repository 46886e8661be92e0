"""Telling people: one channel per person, at least once, from the outbox."""
