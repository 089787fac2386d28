"""The database: models and plain async functions that take a session."""
