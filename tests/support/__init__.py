"""What tests share: real peers on free ports, readiness by asking, a loop with virtual time. See README.md."""
