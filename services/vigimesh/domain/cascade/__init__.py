"""What is put to a model and what comes back, as values; how much a question can cost at most."""
