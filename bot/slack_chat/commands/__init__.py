"""The commands, one file for each group: slash commands and, in threads, where Slack refuses those, typed ones."""
