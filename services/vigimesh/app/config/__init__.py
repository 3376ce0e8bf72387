"""Settings: what is set and from where, and the clients made of it."""
