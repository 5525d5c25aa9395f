"""Trainings of every model that take a second, and what came of them, to be compared."""

import tempfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from models import RECIPES, moving_codes
from scratchnet import optim, training
from scratchnet.runs import data
from scratchnet.runs import log as runs_log
from scratchnet.runs import run as runs
from scratchnet.runs import train as runs_train
from scratchnet.runs.synthetic import synthetic_digits, synthetic_scenes

SIZES = {"h_dim": [12], "z_dim": 3, "channels": [4, 6], "num_embeddings": 8, "embedding_dim": 4,
         "features": 6, "blocks": 2, "head": 6, "conditional": True}
MODELS = [(script, model) for script in ("mnist", "cifar") for model in RECIPES[script]]
# {name: (script, model, its sizes)}: every model, and what a flag makes of one
CASES = {f"{script}-{model}": (script, model, {}) for script, model in MODELS} | {
    "mixture": ("cifar", "pixelcnn", {"mixture": 2}),
    "conditional mixture": ("mnist", "gated-pixelcnn", {"mixture": 2, "levels": 4}),
    "unconditional": ("mnist", "gated-pixelcnn", {"conditional": False}),
    "gaussian": ("mnist", "vae", {"likelihood": "gaussian", "warmup": 9, "conditional": False}),
    "map": ("mnist", "conv-vae", {"latent": "map", "residual": 1}),
    "gradient": ("mnist", "vqvae", {"codebook": "gradient"}),
    "restarts": ("mnist", "vqvae", {"restart_below": 0.9})}


def dataset_for(script, model):
    draw = synthetic_digits if script == "mnist" else synthetic_scenes
    found = data.load("synthetic", synthetic=lambda: draw(train=40, test=8))
    if script == "mnist":  # else black cells are all alike, their codes too, and rounding decides
        rng = np.random.default_rng(5)
        found = replace(found, **{name: getattr(found, name) // 2 + rng.integers(
            0, 60, getattr(found, name).shape, np.uint8) for name in ("train_images",
                                                                     "test_images")})
    if model != "prior":
        return found
    def codes(n): return np.random.default_rng(n).integers(0, 6, (n, 4, 4, 1), dtype=np.int32)
    return runs.CodeDataset("codes", "codes", codes(40), found.train_labels, codes(8),
                            found.test_labels, "", 6, None)


def build(script, model, dataset, **more):
    recipe = RECIPES[script][model]
    sizes = recipe.sizes | {n: v for n, v in SIZES.items() if n in recipe.sizes} | more
    net = recipe.build(dataset, training.generator(0, "weights"), **sizes)
    return net, optim.Adam(net.parameters(), 1e-3, average=0.9)


def trained(name, change=lambda net: None, **flags):
    """{name: array} of 5 steps on 40 images: losses, test figures, weights, optimiser's state with
    running means of the weights. The last batch of an epoch is a single image."""
    script, model, sizes = CASES[name]
    dataset = dataset_for(script, model)
    net, adam = build(script, model, dataset, **sizes)
    change(net)
    # With seed 0 a vector of the CIFAR-10 VQ-VAE lies between two codes, and rounding decides.
    flags = {"epochs": None, "steps": 5, "batch_size": 13, "lr": 1e-3, "schedule": "cosine",
             "seed": 1, "binarize": "none", "flip": False, "keep_best": False, "patience": None,
             **flags}
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs_log, "TRACE_EVERY", 1)
        patch.setattr(moving_codes, "RESTART_EVERY", 2)
        log, _ = runs_train.train(net, adam, dataset, SimpleNamespace(**flags), Path(folder),
                                  quiet=True)
    rows = {"trace": log.trace, "test": [{n: v for n, v in log.history[-1].items()
                                          if n != "seconds"}]}
    return {**{f"{what}.{n}": np.array([row[n] for row in found]) for what, found in rows.items()
               for n in found[0]},
            **{f"model.{n}": a for n, a in net.state_dict().items()},
            **{f"adam.{n}": a for n, a in adam.state_dict().items()}}


def assert_close(found, expected, tolerance=1e-3):
    """Each array to so many parts of its largest number."""
    assert found.keys() <= expected.keys() and found
    for name, a in found.items():
        scale = max(1e-3, np.abs(expected[name]).max())
        np.testing.assert_allclose(a, expected[name], rtol=tolerance, atol=tolerance * scale,
                                   err_msg=name)
