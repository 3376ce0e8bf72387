"""A twin in memory of each adapter: what tests and simulation run on."""
