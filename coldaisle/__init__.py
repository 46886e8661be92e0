"""The `coldaisle` command: mounts agent, server and simulator, and runs all of them as a demo."""
