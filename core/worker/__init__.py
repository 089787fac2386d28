"""The side that runs the engine: takes jobs, writes replies, keeps the ledger."""
