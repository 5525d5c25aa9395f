"""The models give the same losses and gradients as PyTorch's, where it is installed. (Ops have
their loops and finite differences.)"""

import numpy as np
import pytest

from models import VAE, VQVAE, ConvVAE, moving_codes

torch = pytest.importorskip("torch")


def to_torch(w):
    """(n_in, n_out) -> (n_out, n_in); (kh, kw, C_in, C_out) -> (C_out, C_in, kh, kw)."""
    return w.transpose(3, 2, 0, 1) if w.ndim == 4 else w.T


def give_weights(ours, theirs, rng, layout=lambda name, w: w):
    """Biases that are not 0, and the same weights in the same order, changed by `layout`."""
    for p in ours.astype(np.float64).parameters():
        p.data += 0.1 * rng.standard_normal(p.shape)
    own = [layout(*item) for item in ((n, p.data) for n, p in ours.named_parameters().items())]
    with torch.no_grad():
        for w, q in zip(own, theirs.double().parameters(), strict=True):
            q.copy_(torch.tensor(to_torch(w).copy()))


def same_gradients(ours, theirs, loss, other, layout=lambda name, w: w):
    assert loss.item() == pytest.approx(other.item(), rel=1e-10)
    loss.backward()
    other.backward()
    for (name, p), q in zip(ours.named_parameters().items(), theirs.parameters(), strict=True):
        np.testing.assert_allclose(to_torch(layout(name, p.grad)), q.grad.numpy(), rtol=1e-7,
                                   atol=1e-11, err_msg=name)


@pytest.mark.parametrize("num_classes", [0, 4])
def test_vae(num_classes, rng):
    """The label's vectors, too: those of a class that comes twice, and of one that does not."""
    from benchmarks.torch_models import TorchVAE

    ours = VAE(12, 7, 3, num_classes=num_classes, rng=rng)
    theirs = TorchVAE(12, 7, 3, num_classes)
    def layout(name, w):
        """A table has a row for each class in both."""
        return w.T if name.startswith("label") else w
    give_weights(ours, theirs, rng, layout)
    x, noise, labels = rng.uniform(size=(4, 12)), rng.standard_normal((4, 3)), [2, 0, 2, 1]
    how, of_theirs = ({"labels": labels}, [torch.tensor(labels)]) if num_classes else ({}, [])
    other = theirs.loss(torch.tensor(x), torch.tensor(noise), *of_theirs)
    same_gradients(ours, theirs, ours.loss(x, noise, **how)[0], other, layout)


def test_conv_vae(rng):
    from benchmarks.torch_models import TorchConvVAE

    ours, theirs = ConvVAE((28, 28, 1), (4, 5), 6, 2, rng=rng), TorchConvVAE(4, 5, 6, 2)
    def layout(name, w):
        """PyTorch flattens channels first."""
        if name.startswith("encoder") and w.shape == (245, 6):
            return w.reshape(7, 7, 5, 6).transpose(2, 0, 1, 3).reshape(245, 6)
        if w.shape[-1] == 245:
            return w.reshape(-1, 7, 7, 5).transpose(0, 3, 1, 2).reshape(w.shape)
        return w
    give_weights(ours, theirs, rng, layout)
    x, noise = rng.uniform(size=(3, 28, 28, 1)), rng.standard_normal((3, 2))
    other = theirs.loss(torch.tensor(x.transpose(0, 3, 1, 2)), torch.tensor(noise))
    same_gradients(ours, theirs, ours.loss(x, noise)[0], other, layout)


@pytest.mark.parametrize("residual", [0, 1])
@pytest.mark.parametrize("architecture", ["sonnet", "keras"])
def test_vqvae(architecture, residual, rng):
    """The loss, its gradients, and what becomes of the codebook."""
    from benchmarks.torch_models import TorchResidualBlock, TorchVQVAE

    ours = VQVAE((8, 12, 3), architecture, 7, 4, data_variance=0.06, residual=residual, rng=rng)
    theirs = TorchVQVAE(7, 4)
    if architecture == "keras":
        t = torch.nn
        theirs.encoder = t.Sequential(t.Conv2d(3, 32, 3, 2, 1), t.ReLU(), t.Conv2d(32, 64, 3, 2, 1),
                                      t.ReLU(), t.Conv2d(64, 4, 1))
        wide = (t.Conv2d(4, 128, 3, 1, 1), TorchResidualBlock(128, 32), t.ReLU()) * residual
        theirs.decoder = t.Sequential(
            *wide, t.ConvTranspose2d(128 if residual else 4, 64, 3, 2, 1, 1), t.ReLU(),
            t.ConvTranspose2d(64, 32, 3, 2, 1, 1), t.ReLU(), t.ConvTranspose2d(32, 3, 3, 1, 1))
    elif residual:
        theirs.decoder.insert(3, TorchResidualBlock(128, 32))
    give_weights(ours, theirs, rng)
    ours.data_variance.data[...] = 0.06
    x = rng.uniform(size=(5, 8, 12, 3))
    moving_codes.restart(ours, x, rng, np.inf, 1.0)
    theirs.e[...], theirs.m[...] = torch.tensor(ours.e.data), torch.tensor(ours.e.data)
    loss, metrics = ours.loss(x)
    same_gradients(ours, theirs, loss, theirs.loss(torch.tensor(x.transpose(0, 3, 1, 2))))
    ours.update(metrics, len(x))
    for a, b in ((ours.N, theirs.N), (ours.m, theirs.m), (ours.e, theirs.e)):
        np.testing.assert_allclose(a.data, b.numpy(), rtol=1e-10)


def copy_weights(ours, theirs):
    """Give their layers our weights: (kh, kw, C_in, C_out) -> (C_out, C_in, kh, kw)."""
    own, other = ours.named_parameters(), dict(theirs.named_parameters())
    names = {n.replace(".w", ".weight").removesuffix(".b"): n for n in own}
    with torch.no_grad():
        for name, tensor in other.items():
            name = name.removesuffix(".bias")
            plain = {"embedding.weight": "embedding.table"}.get(name, names.get(name))
            if plain is None:  # a block of layers in a row
                block, number, layer = name.split(".")[:3]
                inner = {1: "narrow", 3: "middle", 5: "widen"}[int(layer)]
                plain = f"{block}.{number}.{inner}.{'w' if 'weight' in name else 'b'}"
            value = own[plain].data
            tensor.copy_(torch.tensor(value.transpose(3, 2, 0, 1) if value.ndim == 4 else value))


@pytest.mark.parametrize("kind", ["plain", "gated", "gated, codes", "gated, dilated"])
def test_pixelcnn(kind, rng):
    """Logits, loss, and gradients of the first layers and the last, against masks that multiply the
    weights: layer for layer another construction (the link is taken before the gate in both)."""
    from benchmarks import torch_models
    from models import GatedPixelCNN, PixelCNN

    sizes = {"features": 6, "blocks": 2, "head": 5}
    codes = {"levels": 7, "embedding_dim": 4} if "codes" in kind else {}
    sizes |= {"dilations": (2, 1)} if "dilated" in kind else {}
    ours = (PixelCNN if kind == "plain" else GatedPixelCNN)((5, 6, 1), **sizes, **codes, rng=rng)
    for p in ours.parameters():
        p.data += (0.1 * rng.standard_normal(p.shape)).astype(np.float32)
    ours = ours.astype(np.float64)
    theirs = torch_models.TorchPixelCNN(**sizes) if kind == "plain" else \
        torch_models.TorchGated(**sizes, **codes)
    theirs = theirs.double()
    copy_weights(ours, theirs)
    x = rng.integers(0, 7 if codes else 2, (3, 5, 6, 1))
    x_theirs = torch.tensor(x.transpose(0, 3, 1, 2)) if codes else \
        torch.tensor(x.transpose(0, 3, 1, 2).astype(float))
    logits = theirs(x_theirs).detach().numpy().transpose(0, 2, 3, 1)
    np.testing.assert_allclose(ours.logits(x).data[..., 0, :], logits, atol=1e-12)
    loss, other = ours.loss(x)[0], theirs.loss(x_theirs)
    assert loss.item() == pytest.approx(other.item(), rel=1e-12)
    loss.backward()
    other.backward()
    for layer, w in ((ours.first, theirs.first.weight), (ours.head, theirs.head.weight)):
        np.testing.assert_allclose(layer.w.grad, w.grad.numpy().transpose(2, 3, 1, 0), atol=1e-12)
    if codes:
        np.testing.assert_allclose(ours.embedding.table.grad, theirs.embedding.weight.grad.numpy(),
                                   atol=1e-12)
