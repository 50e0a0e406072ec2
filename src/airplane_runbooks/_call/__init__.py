"""One call from its request to its reply: chain, run, decoding, clock."""
