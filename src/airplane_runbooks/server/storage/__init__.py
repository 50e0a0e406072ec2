"""The store of sessions, runs, prompts and keys: the truth, and the judge of every race."""
