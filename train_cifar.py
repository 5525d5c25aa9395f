"""Train a model on CIFAR-10, or on 32x32 scenes that are drawn (synthetic).

    python train_cifar.py --model vqvae                 8x8 codes of 512
    python train_cifar.py --model prior --codes RUN     what codes images have
    python train_cifar.py --model pixelcnn              bits/dim, exactly
    python train_cifar.py --model conv-vae --flip       bits/dim, a bound
    python train_cifar.py --model vqvae --backend cupy  on a GPU
    python train_cifar.py --resume runs/vqvae-cifar10 --steps 20000
"""

import sys

if __name__ == "__main__":
    import early  # noqa: F401

from models import RECIPES
from scratchnet.runs.cli import main

if __name__ == "__main__":
    sys.exit(main("cifar", __doc__, RECIPES["cifar"]))
