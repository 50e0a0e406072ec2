"""What authors write, and how a segment of it is executed."""
