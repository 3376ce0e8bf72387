"""Where operators act on the topics: one operator at a time, each upon what all before did, and on record."""
