"""The programs: command line, settings, wiring, embedded stack."""
