"""When, and on which thread or machine, segments are executed."""
