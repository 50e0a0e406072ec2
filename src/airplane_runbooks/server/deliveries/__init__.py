"""Deliveries: what is told to targets outside when a prompt opens or a session ends."""
