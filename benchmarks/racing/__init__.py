"""Parts of ``benchmarks/race.py``: cells and their records, sets of pictures, tools, the table."""
