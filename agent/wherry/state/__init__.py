"""The only record of what exists: one SQLite database, a table file for each noun."""
