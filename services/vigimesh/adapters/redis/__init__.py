"""Valkey or Redis: the budget, and the answers that retrievers share."""
