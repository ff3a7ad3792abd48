"""`python -m gridseam` is the command `gridseam`."""

from gridseam.cli import main

if __name__ == "__main__":
    main()
