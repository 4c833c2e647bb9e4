"""The interactive session: input line, slash commands, totals."""
