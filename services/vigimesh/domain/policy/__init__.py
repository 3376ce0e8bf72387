"""Workflow cards and the rules in them: what a case is, how urgent it is, and what a machine may accept."""
