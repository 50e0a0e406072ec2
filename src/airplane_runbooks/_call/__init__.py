"""One call from its request to its reply: the chain, its link to the transport, and the two ways to run it."""
