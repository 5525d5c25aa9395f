"""A data set of one's own: capital letters from Matplotlib's fonts, on their side as EMNIST's are.

    python examples/letters.py letters.npz
    python train_images.py letters.npz --transpose --model vae --conditional
"""

import string
import sys
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont


def letters(count, rng):
    """images uint8 (count, 28, 28), rows for columns, and labels (count,): 0 is A, 25 is Z."""
    fonts = sorted(Path(matplotlib.get_data_path(), "fonts", "ttf").glob("DejaVu*.ttf"))
    fonts = [font for font in fonts if "Display" not in font.name]
    labels = np.arange(count) % 26
    images = np.empty((count, 28, 28), np.uint8)
    for image, label in zip(images, labels, strict=True):
        font = ImageFont.truetype(str(rng.choice(fonts)), int(rng.integers(17, 23)))
        picture = Image.new("L", (28, 28))
        letter, place = string.ascii_uppercase[label], rng.normal(14, 1, 2)
        ImageDraw.Draw(picture).text(place, letter, 255, font, "mm")
        slant = (1, rng.normal(0, 0.12), 0, 0, 1, 0)
        smooth = Image.Resampling.BILINEAR
        picture = picture.transform((28, 28), Image.Transform.AFFINE, slant, smooth)
        picture = picture.rotate(rng.normal(0, 7), smooth)
        image[:] = np.asarray(picture).T
    return images, labels


if __name__ == "__main__":
    images, labels = letters(10_400, np.random.default_rng(0))
    np.savez_compressed(sys.argv[1], images=images, labels=labels)
