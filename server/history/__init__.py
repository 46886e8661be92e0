"""Readings over time: raw, in 5 minutes and in hours; the store behind every curve and every report."""
