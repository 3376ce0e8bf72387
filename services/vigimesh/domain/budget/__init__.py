"""Money: what a paid call is, what it may cost, and what is left."""
