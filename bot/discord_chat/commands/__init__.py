"""The slash commands and message commands, one file for each group."""
