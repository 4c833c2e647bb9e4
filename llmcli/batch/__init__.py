"""Batches: read rows of prompts, write one JSON line for each reply, and keep a journal to resume from."""
