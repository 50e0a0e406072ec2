"""Use cases of the API and the pages, one transaction each."""
