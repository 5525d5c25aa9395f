"""Train a model on MNIST, Fashion-MNIST, or digits drawn from fonts (synthetic).

    python train_mnist.py --model vae                 half a minute on two cores
    python train_mnist.py --model vae --z-dim 2       a latent plane to be drawn
    python train_mnist.py --model vqvae               images as 7x7 codes
    python train_mnist.py --model prior --codes RUN   what codes images have
    python train_mnist.py --model pixelcnn            images, pixel by pixel
    python train_mnist.py --model vae --backend cupy  on a GPU
    python train_mnist.py --resume runs/vae-mnist --epochs 20
"""

import sys

if __name__ == "__main__":
    import early  # noqa: F401

from models import RECIPES
from scratchnet.runs.cli import main

if __name__ == "__main__":
    sys.exit(main("mnist", __doc__, RECIPES["mnist"]))
