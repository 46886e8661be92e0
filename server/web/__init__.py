"""Pages for people. The joins of domains live here; queries and rules stay in the domains."""
