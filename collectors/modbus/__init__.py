"""Modbus: one connection per gateway, its units one after the other, reading functions 1 to 4 only."""
