"""The cluster as an operator sees it: what is on it, who reads it, how much waits. Joins no group of ours."""
