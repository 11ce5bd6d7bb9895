"""Eight small pictures, and their store."""

from scenes import jpeg, pictures_of, scene
from whyconv.images.prepare import PicturePolicy
from whyconv.images.sources import read_pictures
from whyconv.images.store import open_store

POLICY = PicturePolicy(side=24, channels=3)


def eight(tmp_path):
    files = {f"{c}/{i}.jpg": jpeg(scene(i + 10 * (c == "b"))) for c in "ab" for i in range(4)}
    return pictures_of(tmp_path / "data", files)


def opened(tmp_path, pictures=None, policy=POLICY, **options):
    pictures = read_pictures(tmp_path / "data") if pictures is None else pictures
    return open_store(pictures, policy, folder=tmp_path / "cache", **options)
