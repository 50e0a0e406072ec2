"""The command line as a module: `python -m airplane_runbooks` does the same as `airplane-runbooks`."""

from .cli import main

if __name__ == "__main__":
    main()
