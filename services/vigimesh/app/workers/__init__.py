"""What one process runs: a stage, the controller, the resumer, the librarian, the batcher; and how each is joined together."""
