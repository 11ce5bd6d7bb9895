"""Made-up scenes with detail at every scale, as photos have; copies of them; and folders of both."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance

from whyconv.images.sources import Pictures, read_pictures


def scene(seed: int, width: int = 160, height: int = 120) -> Image.Image:
    """Draws clouds of color, from large ones to single pixels, the larger the stronger."""
    random = np.random.default_rng(seed)
    total = np.zeros((height, width, 3), np.float32)
    for cells, strength in ((4, 60), (8, 40), (16, 25), (32, 12), (64, 6)):
        planes = [Image.fromarray(random.normal(0, strength, (cells, cells)).astype(np.float32)) for _ in range(3)]
        total += np.stack([np.asarray(plane.resize((width, height), Image.Resampling.BICUBIC)) for plane in planes], -1)
    return Image.fromarray((total + 128).clip(0, 255).astype(np.uint8))


def jpeg(image: Image.Image, quality: int = 90) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return file.getvalue()


def png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def resized(image: Image.Image, factor: float) -> Image.Image:
    size = round(image.width * factor), round(image.height * factor)
    return image.resize(size, Image.Resampling.BICUBIC)


def cropped(image: Image.Image, fraction: float, seed: int = 0) -> Image.Image:
    """Cuts ``fraction`` of the width and of the height off, somewhere."""
    random = np.random.default_rng(seed)
    dx, dy = image.width * fraction, image.height * fraction
    x, y = random.random() * dx, random.random() * dy
    return image.crop((round(x), round(y), round(x + image.width - dx), round(y + image.height - dy)))


def copies(image: Image.Image, seed: int = 0) -> Iterator[tuple[str, bytes]]:
    """Yields what happens to pictures on their way through the world."""
    for quality in (50, 75, 95):
        yield "compressed", jpeg(image, quality)
    for factor in (0.5, 0.75, 1.5):
        yield "resized", jpeg(resized(image, factor), 85)
    for fraction in (0.02, 0.05):
        yield "cropped", jpeg(cropped(image, fraction, seed), 85)
    for factor in (0.7, 1.3):
        yield "contrast", jpeg(ImageEnhance.Contrast(image).enhance(factor), 85)
    for factor in (0.8, 1.25):
        yield "brightness", jpeg(ImageEnhance.Brightness(image).enhance(factor), 85)


def write(root: Path, files: Mapping[str, bytes]) -> Path:
    """Writes files by their path below ``root``."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return root


def pictures_of(root: Path, files: Mapping[str, bytes]) -> Pictures:
    """Writes files and reads them as labeled pictures."""
    return read_pictures(write(root, files))
