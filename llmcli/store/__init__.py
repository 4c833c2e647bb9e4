"""Saved conversations and the usage ledger, in one SQLite database."""
