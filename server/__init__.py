"""The centre: it remembers what the agents send, and decides who must act and by when."""
