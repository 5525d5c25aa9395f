"""Small PixelCNNs of every kind, for tests/test_pixelcnn.py and tests/test_sampling.py."""

import numpy as np
import pytest

from models import GatedPixelCNN, PixelCNN
from scratchnet.backend import xp

SMALL = {"features": 6, "head": 6, "blocks": 2}
VARIANTS = {  # name: (model, image_shape, other arguments)
    "plain": (PixelCNN, (3, 4, 1), {}),
    "plain, 3 levels": (PixelCNN, (4, 3, 1), {"levels": 3}),
    "plain, RGB": (PixelCNN, (3, 4, 3), {}),
    "plain, RGB, 4 levels": (PixelCNN, (2, 3, 3), {"levels": 4}),
    "plain, codes": (PixelCNN, (3, 4, 1), {"levels": 5, "embedding_dim": 3}),
    "plain, dilated": (PixelCNN, (4, 5, 1), {"dilations": (2, 3)}),
    "plain, mixture": (PixelCNN, (3, 4, 3), {"levels": 5, "mixture": 2}),
    "gated": (GatedPixelCNN, (3, 4, 1), {}),
    "gated, mixture, conditional": (GatedPixelCNN, (4, 3, 2), {
        "levels": 4, "mixture": 3, "num_classes": 3}),
    "gated, RGB, dilated": (GatedPixelCNN, (5, 4, 3), {"dilations": (1, 2)}),
    "gated, RGB": (GatedPixelCNN, (4, 3, 3), {"levels": 3}),
    "gated, conditional": (GatedPixelCNN, (3, 4, 1), {"num_classes": 3}),
    "gated, codes, conditional": (GatedPixelCNN, (4, 3, 1), {
        "levels": 5, "embedding_dim": 3, "num_classes": 3, "untold": 0.5}),
}


def build(name, rng, shape=None, dtype=np.float64, **other):
    """The variant, with biases that are not 0."""
    model, own_shape, arguments = VARIANTS[name]
    model = model(shape or own_shape, rng=rng, **(SMALL | arguments | other))
    for parameter in model.parameters():
        parameter.data += xp.asarray(0.1 * rng.standard_normal(parameter.shape), np.float32)
    return model.astype(dtype)


def components(variant):
    """Of its mixture; 0 if it has none."""
    return VARIANTS[variant][2].get("mixture", 0)


def some_labels(model, n):
    return np.arange(n) % model.num_classes if model.num_classes else None


@pytest.fixture(params=VARIANTS)
def variant(request):
    return request.param
