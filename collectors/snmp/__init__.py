"""SNMP: one session per device, one request in flight, batches that find their own size."""
