"""The outside world behind Protocols: a folder for each system of it, and in `memory` a twin of each."""
