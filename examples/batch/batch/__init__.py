"""A batch of sessions that can be interrupted, and begun again without doing anything twice."""
