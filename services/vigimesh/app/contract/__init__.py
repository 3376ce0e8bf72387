"""What others rely on, printed from the code and held to its print: schemas, topics, channels, metrics."""
