"""whyconv: an image recognizer from a folder of pictures, and exact answers to "why convolutions?"."""

__version__ = "0.1.0"
