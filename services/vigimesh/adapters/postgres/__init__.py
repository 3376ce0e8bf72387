"""PostgreSQL: call journal, library and search, ledger, recalls; the schema as numbered migrations."""
