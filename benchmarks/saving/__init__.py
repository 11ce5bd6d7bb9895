"""Savers that kill_during_save.py puts to the test."""
