"""Many prompts at once: rows in, lines out, a journal between."""
