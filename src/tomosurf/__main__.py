"""``python -m tomosurf`` is the command ``tomosurf``."""

from tomosurf.cli import entry

if __name__ == "__main__":
    entry()
