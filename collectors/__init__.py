"""The only place that speaks to devices: bytes in, readings out.

Two halves meet in `collectors.exchange`: profiles say what is *needed*, the clients of `snmp/` and `modbus/` bring an
*answer*, and the pure converter turns it into readings.
"""
