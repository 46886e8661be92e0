"""`python -m coldaisle` is the `coldaisle` command."""

from coldaisle.cli import main

if __name__ == "__main__":
    main()
