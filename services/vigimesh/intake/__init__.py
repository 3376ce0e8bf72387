"""Real files in, `CaseReceived` out: E2B(R3) batches, VAERS tables, JSON Lines; what cannot enter is named."""
