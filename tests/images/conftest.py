"""Small files that lie as people lay pictures."""

import pytest


@pytest.fixture
def lay(tmp_path):
    """Returns a function that makes small files, each with its path in it, below a folder, and gives the folder."""

    def make(*paths):
        for path in paths:
            file = tmp_path / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(path.encode("utf-8", "surrogateescape"))
        return tmp_path

    return make
