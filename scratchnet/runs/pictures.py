"""The pictures that a model can give: drawn after training, and by generate.py.

Each function takes a Request and returns what is shown as an array, for .npy, and a function that
draws the figure.
"""

import warnings
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..backend import to_numpy, xp
from ..errors import RunError, an, printable
from ..losses import gaussian_kl
from ..tensor import no_grad
from ..training import classes, evaluating, generator, to_batch
from . import figures, plane
from .files import replacing
from .frames import add_frame
from .log import counting, reached
from .run import codes_of, encoding

AT_ONCE = 500  # images that are drawn at a time: of a PixelCNN each takes about 0.4 MB


@dataclass
class Request:
    """model; title: how that of every picture begins; shape: (H, W, C) of its images; dataset: a
    function, called where test images are needed; seed: of all that is drawn at random; num: how
    many (None: as many as look well); label: of which class; temperature, guidance, mask:
    see models/sampling.py; quiet: without a progress bar. given: the dataset's images are the
    user's own, and are taken in their order; whole: and all, where num does not say. classes: the
    names of those that the model knows, if they have some. origin: a line below the title: which
    run, how far, which seed. variants: {field: value} of Requests for samples beside each other, a
    row for each. after_row: called after each row that is drawn in order. chosen: the numbers of
    the images that test_images gave last."""

    model: object
    title: str
    shape: tuple
    dataset: callable
    seed: int = 0
    num: int = None
    label: int = None
    temperature: float = None
    guidance: float = None
    mask: np.ndarray = None
    quiet: bool = True
    given: bool = False
    whole: bool = False
    classes: tuple = ()
    origin: str = ""
    variants: tuple = ()
    after_row: callable = None
    chosen: np.ndarray = None

    @property
    def source(self):
        """What the images are, for a caption."""
        found = self.dataset()
        return f"images of {found.title}" if self.given else f"{found.held_out} images"

    def all_images(self):
        """All test images, with their labels; those that are given have the one that is asked for
        if the model is told it, whatever else they may have."""
        images, labels = self.dataset().test_images, self.dataset().test_labels
        if labels is None or self.given and self.label is not None and self.model.num_classes:
            labels = np.full(len(images), self.label or 0)
        return images, labels

    def test_images(self, usual, each=1):
        """num test images, `each` times as many, or if num is None the usual number, where there
        are so many; through all classes or of one. With their labels; their numbers are `chosen`.
        Raises RunError if there are too few."""
        images, labels = self.all_images()
        allowed = np.flatnonzero(labels == self.label) if self.label is not None \
            else np.arange(len(labels))
        n = len(allowed)
        usual = n if self.whole else min(usual, n)
        needed = each * self.num if self.num else max(each, usual // each * each)
        if n == 0:
            raise RunError(f"--label {self.label}: none of the {self.source} is of that class")
        if self.given and n < each:
            raise RunError(f"--input: two images are needed, but there is one: {self.source}")
        if self.num and needed > n:
            raise RunError(f"--num: {needed} {self.source} are needed, but there are {n}")
        if self.given:
            self.chosen = np.resize(allowed, needed)
            return images[self.chosen], labels[self.chosen]
        chosen = generator(self.seed, "pictures", 2).permutation(allowed)
        # The classes in turn: first the first image of each, then the second of each, ...
        turn = np.empty(len(chosen), int)
        for k in np.unique(labels[chosen]):
            of_class = labels[chosen] == k
            turn[of_class] = np.arange(of_class.sum())
        self.chosen = np.resize(chosen[np.lexsort((labels[chosen], turn))], needed)
        return images[self.chosen], labels[self.chosen]

    def class_names(self):
        """The number of each class that the model is told, and below it its name."""
        return [self.named(k, "\n") for k in range(self.model.num_classes)]

    def named(self, label, between=" "):
        """A label, and its name if it has one."""
        name = self.classes[label] if label < len(self.classes) else ""
        return f"{label}{between * bool(name)}" + figures.legible(name)

    def how_drawn(self, rows):
        """The arguments of drawing in order: those given, and a progress bar over the rows."""
        return {"progress": self.after_row or counting(self.quiet, rows, "drawing", "row")} | {
            n: getattr(self, n) for n in ("temperature", "guidance") if getattr(self, n)}


def samples(ask):
    """New images: (num, H, W, C) in [0, 1]."""
    model = ask.model
    if ask.variants:
        return beside(ask)
    K = model.num_classes or 8
    num = ask.num or min(8, AT_ONCE // K) * K
    labels = np.full(num, ask.label) if ask.label is not None else \
        np.arange(num) % max(1, model.num_classes)
    parts = np.array_split(labels, -(-num // AT_ONCE))
    how, note = {}, "the decoder's mean image for z drawn from the prior"
    if in_order(model):
        how = ask.how_drawn(len(parts) * model.image_shape[0])
        note = ("grids of codes drawn from the prior, code by code, and decoded by the VQ-VAE"
                if model.decode is not None else "drawn pixel by pixel")
    rng = generator(ask.seed, "pictures")
    images = np.concatenate([to_numpy(model.sample(len(part), rng, **classes(model, part), **how))
                             for part in parts])
    images = images if in_order(model) else images.reshape(num, *ask.shape)
    side = min(16, int(np.ceil(num ** 0.5)))
    columns = next((c for c in range(side, 17) if num % c == 0), side)  # full rows, if there are
    heads = ()
    if model.num_classes and ask.label is None:
        columns, note = model.num_classes, f"{note}, a class for each column"
        heads = ask.class_names()[:num]
    return images, lambda: figures.grid(images, min(columns, num), title_of(ask, "samples"), note,
                                        heads=heads)


def title_of(ask, what):
    words = [f"{n} {v:g}" for n, v in (("temperature", ask.temperature), ("guidance", ask.guidance),
                                       ("label", ask.label)) if v is not None]
    return ", ".join([f"{ask.title}: {what}", *words])


def beside(ask):
    """Samples of the variants, from the same draws of noise: (variants, num, H, W, C)."""
    of_all = bool(ask.model.num_classes and ask.label is None and "label" not in ask.variants[0])
    num = ask.num or (ask.model.num_classes if of_all else 10)
    images = np.stack([samples(replace(ask, num=num, variants=(), **v))[0] for v in ask.variants])
    names = [", ".join(f"{n} {ask.named(x) if n == 'label' else format(x, 'g')}"
                       for n, x in v.items()) for v in ask.variants]
    note = "every row from the same noise" + ", a class for each column" * of_all
    return images, lambda: figures.grid(images, num, title_of(ask, "samples"), note, names=names,
                                        heads=(num * ask.class_names())[:num * of_all])


def in_order(model):
    """Whether it draws images pixel by pixel, with a temperature."""
    return hasattr(model, "complete")


def reconstructions(ask):
    """Test images and what the model makes of them: (num, 2, H, W, C)."""
    images, labels = ask.test_images(usual=30)
    again = encoding(len(images), lambda part: ask.model.reconstruct(
        to_batch(images[part]), **classes(ask.model, labels[part])))
    pairs = np.stack([images / np.float32(255), again], axis=1)
    columns = min(10, len(pairs))
    return pairs, lambda: figures.grid(
        figures.below_each_other(pairs, columns), columns, f"{ask.title}: reconstructions",
        f"{ask.source}, and below each what the model makes of it", pairs=True,
        names=["image", "decoded"] * -(-len(pairs) // columns))


def interpolation(ask, steps=11):
    """From one test image to another in equal steps of z: (num, steps, H, W, C). Each class to the
    next one; a model that is told the class stays in that of the first image."""
    model, (images, labels) = ask.model, ask.test_images(usual=20, each=2)
    num = len(images) // 2
    z = to_numpy(mean_code(model.encode(to_batch(images), **classes(model, labels))))
    goals = num + (np.arange(num) if model.num_classes else np.roll(np.arange(num), -1))
    t = np.linspace(0, 1, steps, dtype=np.float32)[:, None]
    between = np.concatenate([(1 - t) * a + t * b for a, b in zip(z[:num], z[goals], strict=True)])
    how = classes(model, labels[:num].repeat(steps))
    found = to_numpy(model.mean_image(xp.asarray(between), **how)).reshape(num, steps, *ask.shape)
    ends = images / np.float32(255)
    row = np.concatenate([ends[:num, None], found, ends[goals][:, None]], axis=1)
    note = f"left and right two {ask.source}; between them z moves in a straight line from the " \
           f"code of the one to that of the other" + \
           ", and the class stays" * bool(model.num_classes)
    heads = ["image", *(f"{part:.1g}" for part in t[:, 0]), "image"]
    return found, lambda: figures.grid(row, steps + 2, f"{ask.title}: interpolation", note,
                                       heads=heads)


def styles(ask):
    """Each class with the same draws of z: (num_classes, num, H, W, C)."""
    model, num = ask.model, ask.num or 16
    K, z_dim = model.num_classes, model.z_dim
    z = generator(ask.seed, "pictures").standard_normal((num, z_dim), dtype=np.float32)
    images = to_numpy(model.mean_image(xp.asarray(np.tile(z, (K, 1))), np.arange(K).repeat(num)))
    images = images.reshape(K, num, *ask.shape)
    return images, lambda: figures.grid(
        images, num, f"{ask.title}: style by class",
        f"a class for each row, 0 to {K - 1}; a z drawn from the prior for each column, the same "
        f"for all classes", names=[name.replace("\n", " ") for name in ask.class_names()])


def manifold(ask):
    """What each point of a latent plane decodes to, at the prior's quantiles, z_2 falling from row
    to row: (num * num, H, W, C). Of a model that is told the class: of one class."""
    side, label = ask.num or 20, ask.label or 0
    quantiles = figures.quantiles_of(side)
    z = np.array([[x, y] for y in reversed(quantiles) for x in quantiles], np.float32)
    how = classes(ask.model, np.full(len(z), label))
    images = to_numpy(ask.model.mean_image(xp.asarray(z), **how)).reshape(-1, *ask.shape)
    title = f"{ask.title}: decoded manifold" + f", label {label}" * bool(how)
    return images, lambda: figures.manifold(images, title)


def traversal(ask, steps=13):
    """The code of a test image with one coordinate at a time from -3 to 3: (num, steps, H, W, C).
    Of a VAE the dimensions of z with the largest KL; of another model, whose z has no prior, the
    principal axes of its codes, in standard deviations from the mean."""
    model, (image, label) = ask.model, replace(ask, num=1).test_images(usual=1)
    t = np.linspace(-3, 3, steps, dtype=np.float32)
    x, labels = (a[:2000] for a in ask.all_images())
    code = model.encode(to_batch(x), **classes(model, labels))
    z = to_numpy(mean_code(model.encode(to_batch(image), **classes(model, label))))[0]
    num = min(ask.num or 10, len(z))
    if isinstance(code, tuple):
        kl = to_numpy(gaussian_kl(*code, reduction="none")).mean(0)
        chosen = np.argsort(-kl, kind="stable")[:num]
        rows = np.tile(z, (num, steps, 1))
        rows[np.arange(num), :, chosen] = t
        names = [f"$z_{{{k + 1}}}$, KL {kl[k]:.2f}" for k in chosen]
        note = "one coordinate of z from -3 to 3, those with the largest KL first"
    else:
        mean, s, axes = plane.principal_axes(to_numpy(code))
        along = (z - mean) @ axes[:num].T
        moved = t * s[:num, None] - along[:, None]
        rows = z + moved[..., None] * axes[:num, None]
        names = [f"axis {k + 1}, sd {s[k]:.2g}" for k in range(num)]
        note = "along one principal axis of the codes, from -3 to 3 standard deviations"
    images = to_numpy(model.mean_image(xp.asarray(rows.reshape(-1, z.size)), **classes(
        model, label.repeat(num * steps)))).reshape(num, steps, *ask.shape)
    source = an(ask.source.replace("images", "image", 1))
    return images, lambda: figures.grid(
        images, steps, f"{ask.title}: traversal", f"{note}; the rest is the code of {source}",
        names=names, heads=[f"{v:g}" for v in t])


def latent(ask):
    """The codes of all test images: (n, z_dim)."""
    images, labels = ask.all_images()
    codes = encoding(len(images), lambda part: mean_code(ask.model.encode(
        to_batch(images[part]), **classes(ask.model, labels[part]))), ask.quiet)
    title = f"{ask.title}: latent space" + ", given the class" * bool(ask.model.num_classes)
    return codes, lambda: plane.latent_plane(
        codes, labels, title, ask.dataset().classes or ask.classes, ask.source)


def completion(ask, times=4):
    """A part of test images, the lower half unless a mask (H, W) says another, drawn anew:
    (num, times + 2, H, W, C), of each image what was seen, the completions and the image itself."""
    model, (images, labels) = ask.model, ask.test_images(usual=16)
    x, rng = to_batch(images, ask.model.takes_codes), generator(ask.seed, "pictures")
    how = classes(model, labels) | ask.how_drawn(times * model.image_shape[0])
    whole = to_numpy(model.images(model.values_of(x)))
    (h, w, _), (H, W) = model.image_shape, whole.shape[1:3]
    mask = np.arange(h)[:, None] >= np.full(w, h // 2)
    if ask.mask is not None:  # of codes, those whose part of the image it touches
        mask = ask.mask.reshape(h, H // h, w, W // w).any(axis=(1, 3))
    again = [to_numpy(model.complete(x, rng, mask=mask, **how)) for _ in range(times)]
    seen = np.where(mask.repeat(H // h, 0).repeat(W // w, 1)[..., None], np.float32(0.5), whole)
    found = np.stack([seen, *again, whole], axis=1)
    codes = " (of the grid of codes, here decoded)" if model.decode is not None else ""
    return found, lambda: figures.grid(
        found.swapaxes(0, 1), len(images), title_of(ask, "completions"),
        f"what was seen of {ask.source}{codes}, {times} completions drawn by the model, and the "
        f"whole image", names=["seen", *["drawn"] * times, "whole"])


def scores(ask, weights=100):
    """-log p(x) in nats of each of the test images, (num,): exactly, or for a VAE estimated by
    importance sampling with so many weights, an upper bound on average."""
    model, (images, labels) = ask.model, ask.test_images(usual=32)
    rng = generator(ask.seed, "pictures")
    nats, done = [], counting(ask.quiet, len(images), "scoring", "image")
    for start in range(0, len(images), 50):
        part = slice(start, start + 50)
        x, how = to_batch(images[part], model.takes_codes), classes(model, labels[part])
        nats.append(to_numpy(model.neg_log_likelihood(x, **how)
                             if hasattr(model, "neg_log_likelihood")
                             else -model.log_likelihood(x, weights, rng, **how)))
        done(len(x))
    nats = np.concatenate(nats)
    shown = images / np.float32(255)
    if model.takes_codes:  # what they are decoded to, which may be a little beyond black and white
        shown = to_numpy(model.images(model.values_of(to_batch(images, True)))).clip(0, 1)
    what = ", of its codes" * model.takes_codes + ", given its class" * bool(model.num_classes)
    if not hasattr(model, "neg_log_likelihood"):
        what += f", by {weights} importance samples: an upper bound"
    return nats, lambda: figures.scored(
        shown, nats, f"{ask.title}: scores",
        f"{ask.source}, the likeliest first; above each -log p(x) in nats{what}")


def codes(ask):
    """The grids of codes of test images: integers (num, h, w)."""
    images, _ = ask.test_images(usual=10)
    found = codes_of(ask.model, images)
    return found, lambda: figures.code_maps(
        images / 255, found, to_numpy(ask.model.decode_codes(found)), len(ask.model.e),
        f"{ask.title}: images as codes")


def usage(ask):
    """How often the test images have each code: parts of 1, (K,)."""
    found = codes_of(ask.model, ask.dataset().test_images, ask.quiet)
    parts = np.bincount(found.reshape(-1), minlength=len(ask.model.e)) / found.size
    return parts, lambda: figures.usage(parts, f"{ask.title}: use of the codebook", ask.source)


def palette(ask):
    """What a grid filled with one code decodes to, for each code: (K, H, W, C)."""
    K = len(ask.model.e)
    h, w = codes_of(ask.model, np.zeros((1, *ask.shape), np.uint8)).shape[1:]
    grids = np.repeat(np.arange(K), h * w).reshape(K, h, w)
    images = np.concatenate([to_numpy(ask.model.decode_codes(part))
                             for part in np.array_split(grids, -(-K // 64))])
    return images, lambda: figures.palette(images, to_numpy(ask.model.N.data),
                                           f"{ask.title}: what each code decodes to")


# {name: (the model's method that it needs, or one of them, the function)}
PICTURES = {"samples": ("sample", samples), "reconstructions": ("reconstruct", reconstructions),
            "interpolation": ("mean_image", interpolation), "styles": ("mean_image", styles),
            "manifold": ("sample", manifold), "traversal": ("mean_image", traversal),
            "latent": ("mean_image", latent),
            "completion": ("complete", completion),
            "scores": ("neg_log_likelihood log_likelihood", scores), "codes": ("codes", codes),
            "usage": ("codes", usage), "palette": ("codes", palette)}


def possible(model):
    """The names of the pictures that the model can give; a manifold only of a plane, a traversal
    only of more dimensions, styles only of classes."""
    return [name for name, (needs, _) in PICTURES.items()
            if any(hasattr(model, method) for method in needs.split())
            and (name != "manifold" or getattr(model, "z_dim", 0) == 2)
            and (name != "traversal" or model.z_dim > 2)
            and (name != "styles" or model.num_classes)]


@no_grad()
def make(name, ask):
    """The array and the figure's function of a picture."""
    array, figure = PICTURES[name][1](ask)
    return array, (lambda: figures.signed(figure(), ask.origin)) if ask.origin else figure


def write_figure(path, figure, dpi=110, new=False):
    with replacing(path, new=new) as file, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a title has letters that the font has not
        figure.savefig(file, format="png", dpi=dpi)


def origin_of(folder, step, rows, seed):
    """Which run, how far, which seed. rows: of its history, or of its metrics.csv."""
    return printable(f"{Path(folder).resolve().name}, {reached(step, rows)}, seed {seed}")


def draw_all(model, dataset, log, columns, folder, title, seed, quiet=True):
    """Draw every picture that this model can give, and the curves of its Log, into the folder;
    returns the names of the files that could be written."""
    origin = origin_of(folder, log.final["step"], log.history, seed)
    ask = Request(model, title, dataset.image_shape, lambda: dataset, seed, quiet=quiet,
                  origin=origin, classes=dataset.classes)
    names = [name for name in possible(model) if name != "scores"]
    done, arrays, drawn = counting(quiet, 2 * len(names) + 1, "pictures", "part"), {}, {}
    with evaluating(model):
        for name in names:
            arrays[name], figure = make(name, ask)
            drawn[f"{name}.png"] = figure()
            done()
    drawn["curves.png"] = figures.signed(  # to the last step, whichever weights were the best
        figures.curves(log, columns, f"{title}: training"),
        origin_of(folder, log.history[-1]["step"], log.history, seed))
    for name, figure in drawn.items():
        with log.dispensable(name):
            write_figure(Path(folder) / name, figure)
        done()
    more = add_frame(log, arrays, log.final["step"])
    return [name for name in (*drawn, *more) if name not in log.unwritten]


def mean_code(x):
    """mu of (mu, log_var); a plain code as it is."""
    return x[0] if isinstance(x, tuple) else x
