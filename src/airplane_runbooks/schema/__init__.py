"""Parameter types: how their values are encoded, read, checked and described."""
