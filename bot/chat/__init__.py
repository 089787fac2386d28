"""What every chat platform shares: from a message to its reply, and what people do with replies."""
