"""What is kept of a decision: its reason in words."""
