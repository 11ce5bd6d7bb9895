"""Pictures and tables of ``evidence.py``."""
