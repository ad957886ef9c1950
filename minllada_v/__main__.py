"""`python -m minllada_v` is `python -m minllada_v.generate`."""

import sys

from .generate import main

if __name__ == "__main__":
    sys.exit(main())
