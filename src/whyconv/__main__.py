"""python -m whyconv."""

from whyconv.cli import main

if __name__ == "__main__":
    main()
