"""Models, losses and layers as somebody uses them who writes a program of their own: what was
silent once, or was said badly. (Scripts: test_mistakes.py.)"""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from models import VAE, VQVAE, Autoencoder, ConvVAE, GatedPixelCNN, PixelCNN
from scratchnet import Tensor, gradcheck, nn, optim
from scratchnet.training import evaluate, step

SMALL = {"features": 8, "blocks": 1, "head": 8}


def prior(**sizes):
    return GatedPixelCNN((4, 4, 1), levels=32, embedding_dim=4, **SMALL, **sizes)


def grey(shape=(3, 8, 8, 1), low=0.1, high=0.9):
    return np.random.default_rng(1).uniform(low, high, shape)


MODELS = {
    "autoencoder": lambda: Autoencoder(64, 8, 2), "vae": lambda: VAE(64, 8, 2),
    "gaussian": lambda: VAE(64, 8, 2, "tanh", "gaussian", sigma_x=0.5),
    "conv-vae": lambda: ConvVAE((8, 8, 1), (4,), 8, 2),
    "vqvae": lambda: VQVAE((8, 8, 1), num_embeddings=6, embedding_dim=3),
    "pixelcnn": lambda: PixelCNN((8, 8, 1), levels=4, **SMALL), "prior": prior}


def images_for(name):
    return np.random.default_rng(2).integers(0, 32, (6, 4, 4)) if name == "prior" else np.uint8(
        255 * grey((6, 8, 8, 1)))


# ---------------------------------------------------------------- silence

def test_codes_are_codes_whatever_their_integers_are():
    codes = np.random.default_rng(0).integers(0, 32, (16, 4, 4, 1))
    def figures(dtype, shape=(16, 4, 4, 1)):
        model, given = prior(), codes.astype(dtype).reshape(shape)
        adam = optim.Adam(model.parameters())
        trained = step(model, adam, given, np.random.default_rng(0))
        return float(trained["nll"]), evaluate(model, given, 8), model.state_dict()
    wide = figures(np.int32)
    for found in figures(np.uint8), figures(np.int64), figures(np.uint8, (16, 4, 4)):
        assert found[:2] == wide[:2]
        assert all((found[2][n] == a).all() for n, a in wide[2].items())
    with pytest.raises(TypeError, match="codes must be integers, not float32"):
        prior().loss(np.float32(codes))


def test_bytes_are_bytes_whatever_their_integers_are():
    images = images_for("pixelcnn")
    narrow, wide = (evaluate(MODELS["pixelcnn"](), images.astype(t), 4) for t in (np.uint8, int))
    assert narrow == wide


def test_a_step_is_the_loop_written_out():
    """Bit for bit, and whatever gradients were left behind: docs/05-network.md has the loop."""
    images, rng = images_for("pixelcnn"), np.random.default_rng(0)
    ours, plain = (Autoencoder(64, 5, 3, rng=np.random.default_rng(0)) for _ in range(2))
    adam, adam_of_plain = (optim.Adam(model.parameters(), lr=0.01) for model in (ours, plain))
    for _ in range(3):
        step(ours, adam, images, rng)
        loss, _ = plain.loss(np.float32(images) / np.float32(255))
        adam_of_plain.zero_grad()
        loss.backward()
        adam_of_plain.step()
    for name, array in plain.state_dict().items():
        assert_array_equal(ours.state_dict()[name], array)


def test_a_codebook_that_nobody_updates_is_an_error():
    x, model = grey().astype(np.float32), MODELS["vqvae"]()
    for _ in range(99):
        model.loss(x)
    model.eval().loss(x)
    with pytest.raises(RuntimeError, match="never updated.*training.step.*model.update"):
        model.train().loss(x)
    model = MODELS["vqvae"]()
    for _ in range(120):
        _, metrics = model.loss(x)
        model.update(metrics, len(x))
    model, rng = VQVAE((8, 8, 1), num_embeddings=6, embedding_dim=3, codebook="gradient"), (
        np.random.default_rng(0))
    model.prepare(x, rng)
    placed = model.e.numpy().copy()
    for _ in range(120):  # learned by gradient, it may do without, and is placed only once
        model.prepare(x, rng)
        model.loss(x)
    assert_array_equal(model.e.numpy(), placed)


@pytest.mark.parametrize("noise", [0, np.zeros(2), np.zeros((1, 2)), np.zeros((3, 1))])
def test_noise_for_each_image_is_noise_of_its_own(noise):
    """0 is a seed in the place of a generator."""
    x, model = grey().astype(np.float32), MODELS["vae"]()
    for use in (lambda: model.loss(x, noise), lambda: model.log_likelihood(x, 2, noise)):
        with pytest.raises(ValueError, match=r"noise .*; needs mu \(\.\.\.\), log_var"):
            use()


def test_black_and_white_bytes_are_no_black_images(rng):
    for name, most in ("vae", 1), ("pixelcnn", 3):
        model = MODELS[name]()
        for dtype in (np.uint8, np.int64):
            black = np.full((2, 8, 8, 1), most, dtype)
            said = rf"integers up to {most}: .* make floats, x / np.float32\({most}\)"
            with pytest.raises(ValueError, match=said):
                step(model, optim.Adam(model.parameters()), black, rng)
            with pytest.raises(ValueError, match=said):
                evaluate(model, black, 2)
            model.microbatch, images = 1, np.ones((2, 8, 8, 1), dtype)
            images[1] = 255  # one image of the two is nearly black, which is no mistake
            assert step(model, optim.Adam(model.parameters()), images, rng)["loss"] > 0
    with pytest.raises(ValueError, match="integers up to 65280: bytes go to 255"):
        evaluate(model, 256 * images, 2)


def test_a_seed_does_as_a_generator():
    for make in (lambda rng: VAE(64, 8, 2, rng=rng), lambda rng: Autoencoder(64, 8, 2, rng=rng),
                 lambda rng: ConvVAE((8, 8, 1), (4,), 8, 2, rng=rng),
                 lambda rng: VQVAE((8, 8, 1), num_embeddings=6, embedding_dim=3, rng=rng),
                 lambda rng: GatedPixelCNN((8, 8, 1), rng=rng, **SMALL),
                 lambda rng: PixelCNN((8, 8, 1), rng=rng, **SMALL)):
        of, like = make(5), make(np.random.default_rng(5))
        assert all((a == like.state_dict()[n]).all() for n, a in of.state_dict().items())
        assert any((a != make(6).state_dict()[n]).any() for n, a in of.state_dict().items())
        if hasattr(of, "sample"):
            assert (np.asarray(of.sample(2, 7)) != np.asarray(of.sample(2, 8))).any()
            assert_array_equal(np.asarray(of.sample(2, 7)),
                               np.asarray(of.sample(2, np.random.default_rng(7))))


def test_a_loop_of_ones_own_goes_on_where_a_counting_one_stopped(rng):
    model, x = VAE(64, 8, 2, warmup=1000), grey().astype(np.float32)
    step(model, optim.Adam(model.parameters()), x, rng)
    assert model.kl_weight() == 1


def test_what_is_left_out_is_drawn_by_a_generator_too():
    x = (grey() > 0.5).astype(np.float32)
    model = GatedPixelCNN((8, 8, 1), num_classes=3, dropout=0.5, untold=0.5, **SMALL)
    def loss(noise): return model.loss(x, noise, [0, 1, 2])[0].item()
    drawn = np.random.default_rng(4).standard_normal((3, model.noise_dim), dtype=np.float32)
    assert loss(np.random.default_rng(4)) == loss(drawn) != loss(None)


@pytest.mark.parametrize("known, error", [(0.9, TypeError), (4, IndexError)])
def test_known_pixels_are_values(known, error, rng):
    with pytest.raises(error, match="known"):
        MODELS["pixelcnn"]().sample_values(2, rng, known=np.full((2, 8, 8, 1), known))


@pytest.mark.parametrize("name", ["autoencoder", "vae", "gaussian", "conv-vae"])
def test_a_loss_has_a_gradient_to_the_images(name, rng):
    model, noise = MODELS[name]().astype(np.float64), rng.standard_normal((2, 2))
    gradcheck(lambda x: model.loss(x, noise)[0], grey((2, 8, 8, 1)))


def test_a_vqvaes_loss_has_a_gradient_to_the_images():
    x = Tensor(grey().astype(np.float32), requires_grad=True)
    MODELS["vqvae"]().loss(x)[0].backward()
    assert x.grad.shape == x.shape and (x.grad != 0).all()


@pytest.mark.parametrize("name", MODELS)
def test_a_loss_is_among_the_metrics(name, rng):
    model, images = MODELS[name](), images_for(name)
    metrics = step(model, optim.Adam(model.parameters()), images, rng)
    assert np.isfinite(metrics["loss"]) and np.isfinite(evaluate(model, images, 4)["loss"])


def test_a_completion_keeps_the_upper_half():
    """Of the height."""
    model, x = PixelCNN((8, 4, 1), levels=4, **SMALL), np.full((20, 8, 4, 1), 0.99, np.float32)
    found = np.asarray(model.complete(x, np.random.default_rng(0)))
    assert (found[:, :4] == 1).all() and (found[:, 4:] < 1).any(axis=(0, 2, 3)).all()


# ---------------------------------------------------------------- what a model is given

@pytest.mark.parametrize("name", [n for n in MODELS if n != "prior"])
def test_float64_images_and_rows_of_pixels_are_the_same_images(name):
    model, x = MODELS[name](), grey().astype(np.float32)
    loss = model.loss(x, np.zeros((3, 2), np.float32))[0].item()
    for same in x.astype(np.float64), x.reshape(3, 8, 8), x.reshape(3, 64):
        assert model.loss(same, np.zeros((3, 2)))[0].item() == loss
    if hasattr(model, "reconstruct"):
        assert model.reconstruct(x.reshape(3, 64)).shape == (3, 64)
    if hasattr(model, "mean_image"):
        z = np.ones((2, 2))
        assert_array_equal(model.mean_image(z).numpy(), model.mean_image(z.astype("f")).numpy())


RGB, OTHER = (lambda: ConvVAE((8, 8, 3), (4,), 8, 2)), (lambda: ConvVAE((8, 4, 1), (4,), 8, 2))
ONE = "of one image make a batch"
GIVEN = [  # a model, images, words
    (RGB, grey((2, 3, 8, 8)), r"images of shape \(2, 3, 8, 8\); it needs \(N, 8, 8, 3\) or"),
    (OTHER, grey((1, 4, 8, 1)), r"\(1, 4, 8, 1\); it needs .* or \(N, 8, 4\) or \(N, 32\)$"),
    ("vae", grey((64,)), rf"shape \(64,\); it needs \(N, 64\); {ONE}"),
    ("vae", grey((8, 8)), ONE), ("autoencoder", grey((2, 9, 8)), r"it needs \(N, 64\)$"),
    ("vqvae", grey((8, 8, 1)), ONE), ("pixelcnn", grey((8, 8, 1)), ONE),
    ("vae", grey((0, 64)), r"no images, shape \(0, 64\)"),
    ("conv-vae", np.zeros((2, 8, 8, 1), np.uint16), "images of uint16;.* divide by 65535"),
    ("pixelcnn", np.zeros((2, 8, 8, 1), bool), r"images of bool;.* take x.astype\(np.float32\)"),
    ("autoencoder", np.full((2, 64), np.nan), "images have NaN in them"),
    ("vqvae", grey((2, 8, 8, 1), -1, 1), r"take \(x \+ 1\) / 2 of images from -1 to 1"),
    ("prior", np.full((2, 4, 4), 32), "codes from 32 to 32, but there are levels 0 to 31")]


@pytest.mark.parametrize("name, x, words", GIVEN, ids=lambda value: None)
def test_images_that_do_not_fit(name, x, words):
    model = name() if callable(name) else MODELS[name]()
    with pytest.raises((ValueError, TypeError, IndexError), match=words):
        model.loss(x, np.random.default_rng(0))
    if hasattr(model, "encode"):
        with pytest.raises((ValueError, TypeError), match=words):
            model.encode(x)


@pytest.mark.parametrize("make, words", [
    *((lambda model=model: model((28, 28)),
       r"image_shape must be \(height, width, channels\), such as \(28, 28, 1\), not \(28, 28\)")
      for model in (ConvVAE, VQVAE, PixelCNN, GatedPixelCNN)),
    (lambda: VQVAE((8, 8, 0)), "image_shape"), (lambda: ConvVAE(64), "image_shape.*not 64"),
    (lambda: VAE((28, 28)), r"input_dim must be a whole number, 1 or more, not \(28, 28\)"),
    (lambda: Autoencoder(64, z_dim=0), "z_dim must be a whole number, 1 or more, not 0"),
    (lambda: VAE(64, z_dim=2.0), "z_dim must be"), (lambda: VAE(64, [8, 2.5]), "not 8 2.5"),
    (lambda: VAE(64, beta=-1), "beta must be 0 or more, not -1"),
    (lambda: VAE(64, sigma_x=0), "sigma_x must be above 0"),
    (lambda: VQVAE((8, 8, 1), data_variance=0), "images are all alike"),
    (lambda: VQVAE((8, 8, 1), decay=1), "decay must be at least 0 and below 1, not 1"),
    (lambda: nn.Conv2d(1, 2, 3, np.random.default_rng(0), padding="same")(grey()), "not 'same'"),
    (lambda: nn.Conv2d(1, 2, 3, np.random.default_rng(0), stride=(1,))(grey()), r"not \(1,\)"),
    (lambda: VAE(64, warmup=-1), "warmup"), (lambda: ConvVAE((8, 8, 1), beta=-0.5), "beta"),
    (lambda: VQVAE((8, 8, 1), num_embeddings=0), "num_embeddings must be"),
    (lambda: VQVAE((8, 8, 1), commitment_cost=-1), "commitment_cost must be 0 or more"),
    (lambda: PixelCNN((8, 8, 1), features=0), "features must be"),
    (lambda: GatedPixelCNN((8, 8, 1), num_classes=-1), "num_classes must be 0 or more")])
def test_sizes_that_no_model_has(make, words):
    with pytest.raises(ValueError, match=words):
        make()


@pytest.mark.parametrize("labels, error, words", [
    ((), ValueError, "it is conditional: give labels, one from 0 to 2 for each of the 2 images"),
    (([1],), ValueError, r"of shape \(2,\), not \(1,\)"),
    (([0.0, 1.0],), TypeError, "labels must be integers, not float64"),
    (([-1, 0],), IndexError, "labels from -1 to 0"),
    (([0, 3],), IndexError, "labels from 0 to 3, but there are classes 0 to 2")])
@pytest.mark.parametrize("make", [
    lambda: VAE(64, 8, 2, num_classes=3), lambda: ConvVAE((8, 8, 1), (4,), 8, 2, num_classes=3),
    lambda: GatedPixelCNN((8, 8, 1), num_classes=3, **SMALL)])
def test_labels_that_do_not_fit(make, labels, error, words, rng):
    model, x = make(), grey((2, 8, 8, 1)).astype(np.float32)
    named = {"labels": labels[0]} if labels else {}
    for use in (lambda: model.loss(x, rng, **named), lambda: model.sample(2, rng, **named)):
        with pytest.raises(error, match=words):
            use()


# ---------------------------------------------------------------- what a learner looks for

def test_the_last_layer_of_an_mlp_is_not_squashed(rng):
    net = nn.mlp([3, 4, 1], "sigmoid", rng)
    net.layers[-1].b.data[...] = -5
    assert (net(rng.standard_normal((6, 3))).numpy() < 0).all()
    assert isinstance(nn.mlp([3, 4], "relu", rng, last=True).layers[-1], nn.Activation)


def test_codes_are_decoded_as_they_are_drawn(rng):
    model = MODELS["vqvae"]()
    codes = GatedPixelCNN((2, 2, 1), levels=6, embedding_dim=4, **SMALL).sample_values(3, rng)
    assert codes.shape == (3, 2, 2, 1)
    assert_array_equal(model.decode_codes(codes).numpy(), model.decode_codes(codes[..., 0]).numpy())
    with pytest.raises(IndexError, match="codes from 6 to 6, but there are codes 0 to 5"):
        model.decode_codes(np.full((1, 2, 2), 6))
    with pytest.raises(ValueError, match=r"codes of shape \(2, 2\); it needs \(N, height, width\)"):
        model.decode_codes(np.zeros((2, 2), int))


@pytest.mark.parametrize("name", MODELS)
def test_a_model_is_saved_and_loaded(name, tmp_path):
    model, other, path = MODELS[name](), MODELS[name](), tmp_path / "model.npz"
    for p in model.parameters():
        p.data += 1
    np.savez(path, **model.state_dict())
    other.load_state_dict(np.load(path))
    for name, array in model.state_dict().items():
        assert_array_equal(other.state_dict()[name], array)
