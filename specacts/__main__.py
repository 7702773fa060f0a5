"""`python -m specacts`: the commands, also where the path of the environment holds a space."""

from specacts.cli import main

if __name__ == "__main__":
    main()
