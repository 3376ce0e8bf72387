"""The whole mesh on one machine: made ready, kept running, fed, followed, and reckoned at its end."""
