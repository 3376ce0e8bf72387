"""What is put to a large model and what comes back, as values, and what it can cost; the small model, its scores and its certificates."""
