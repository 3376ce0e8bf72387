"""Documents in: labels and guidance read from their bytes."""
