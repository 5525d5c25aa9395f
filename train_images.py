"""Train a model on images of your own: a folder of pictures, or a file of arrays.

    python train_images.py PHOTOS --model vqvae --size 64 64    a folder
    python train_images.py PHOTOS --model prior --codes RUN     what codes
    python train_images.py letters.npz --model vae --transpose  rows for columns
    python train_images.py train.csv --model conv-vae --test test.csv
    python train_images.py --resume runs/vqvae-PHOTOS --epochs 40

Subfolders of pictures are classes.
"""

import sys

if __name__ == "__main__":
    import early  # noqa: F401

from models import RECIPES
from scratchnet.runs.cli import main

if __name__ == "__main__":
    sys.exit(main("images", __doc__, RECIPES["images"]))
