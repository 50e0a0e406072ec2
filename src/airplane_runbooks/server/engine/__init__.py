"""When, and on which thread or machine, stretches are executed."""
