"""Everything at once on one machine: simulated room, broker, one agent, a server and somebody who is told."""
