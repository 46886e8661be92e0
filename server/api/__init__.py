"""The HTTP application: problem answers, probes, and every domain's routers under /api/v1."""
