"""Sends parked events back to the topic they left when their time has come, exactly once."""
