"""Records -> lines of text for a terminal, at most 80 columns where the names in them allow it.

Nothing is printed here: every function returns lines. Names of files and classes come from anywhere, so
every one goes through ``printable``. Import from the module of the record: a verb loads only what it shows.
"""
