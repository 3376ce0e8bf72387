"""The controller's rules: how much work waits, for how long, and which lanes give way. Pure."""
