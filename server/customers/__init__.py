"""Customers, their sites and rooms, and whom to call. The reference for how a domain of the server is laid out."""
