"""The programs: command line, workers, the whole mesh on one machine, and what they are set to and made of."""
