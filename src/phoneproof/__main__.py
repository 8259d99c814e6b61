"""``python -m phoneproof``: the same as the command ``phoneproof``."""

from phoneproof.cli.main import main

if __name__ == "__main__":
    main()
