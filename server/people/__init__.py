"""Users, their sessions and tokens: who somebody is. What they may do is the kit's `principal` and `scope`."""
