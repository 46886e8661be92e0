"""Migrations of the main database: one linear chain, never importing models."""
