"""What became of a case, read from the topics and told to a person."""
