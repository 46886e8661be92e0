"""Taking in what agents send: each block once, answered only after it is committed."""
