"""Personal data in texts: found, taken out, put back. Pure."""
