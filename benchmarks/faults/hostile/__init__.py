"""Files that somebody made to do harm."""
