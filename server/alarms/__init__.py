"""Alarms at the centre: what agents and the centre itself raise, folded into one state per occurrence."""
