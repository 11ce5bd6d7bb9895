"""Odd pictures and the tools that read them, for odd_pictures.py."""
