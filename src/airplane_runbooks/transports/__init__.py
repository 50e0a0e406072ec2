"""Ways to carry a request: each keeps the contract of `airplane_runbooks.http.Transport`."""
