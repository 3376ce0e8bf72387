"""Pure rules of the trade: no I/O, no async, no clock of its own."""
