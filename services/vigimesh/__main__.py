"""`python -m vigimesh`: the same as the command `vigimesh`."""

from vigimesh.app.cli import main

if __name__ == "__main__":
    main()
