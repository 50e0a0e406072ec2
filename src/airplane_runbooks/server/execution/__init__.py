"""What authors write, and how a stretch of it is executed."""
