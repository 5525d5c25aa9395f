"""Draws images/receptive-fields.png: which pixels a PixelCNN sees, by its own gradients.

    python docs/draw_receptive_fields.py
"""

import numpy as np
from drawing import INK, new_figure, save

from models import GatedPixelCNN, PixelCNN
from scratchnet import Tensor

SIDE, PIXEL = 21, (13, 10)


def seen(model, times=24):
    """|d logit[PIXEL] / d x| for every pixel x, the mean over random images: (SIDE, SIDE)."""
    rng = np.random.default_rng(0)
    x = Tensor(rng.standard_normal((times, SIDE, SIDE, 1)), requires_grad=True)
    model.astype(np.float64).network(x)[:, PIXEL[0], PIXEL[1]].sum().backward()
    return np.abs(x.grad[..., 0]).mean(axis=0)


def main():
    rng, shape = np.random.default_rng(0), (SIDE, SIDE, 1)
    sizes = {"features": 24, "rng": rng}
    panels = [("plain, 1 block", PixelCNN(shape, blocks=1, **sizes)),
              ("plain, 4 blocks", PixelCNN(shape, blocks=4, **sizes)),
              ("plain, 15 blocks", PixelCNN(shape, blocks=15, **sizes)),
              ("gated, 7 blocks", GatedPixelCNN(shape, blocks=7, **sizes)),
              ("gated, 7, dilated", GatedPixelCNN(shape, blocks=7, **sizes,
                                                  dilations=(1, 2, 4, 8, 1, 2, 8)))]
    figure = new_figure(13.5, 4, "What the logit of one pixel (red) depends on",
                        "blue: |d logit / d pixel|, from the models' own backward pass, on a "
                        "logarithmic scale; grey: earlier pixels whose derivative is exactly 0; "
                        "white: later pixels")
    before = np.arange(SIDE * SIDE).reshape(SIDE, SIDE) < PIXEL[0] * SIDE + PIXEL[1]
    for axes, (title, model) in zip(figure.subplots(1, len(panels)), panels, strict=True):
        gradient = seen(model)
        assert not gradient[~before].any()
        strength = np.log10(np.where(gradient > 0, gradient, 1) / gradient.max())
        picture = np.ones((SIDE, SIDE, 3))
        picture[before] = (0.80, 0.80, 0.80)
        share = np.clip(1 + strength / 5, 0.12, 1)[..., None]  # five powers of ten
        blue = 1 - share * (1 - np.array([0.12, 0.29, 0.53]))
        picture = np.where((gradient > 0)[..., None], blue, picture)
        picture[PIXEL] = (0.88, 0.34, 0.35)
        axes.imshow(picture, interpolation="nearest")
        blind = int((before & (gradient == 0)).sum())
        axes.set_title(f"{title}:\n{blind} of {before.sum()} unseen", fontsize=10, color=INK)
        axes.set_xticks(np.arange(-0.5, SIDE), [])
        axes.set_yticks(np.arange(-0.5, SIDE), [])
        axes.grid(color="white", lw=0.6)
        axes.tick_params(length=0)
        if title == "plain, 15 blocks":
            axes.annotate("the blind spot", (18.3, 11), (15, 17), fontsize=10, color=INK,
                          ha="center", arrowprops={"arrowstyle": "->", "color": INK, "lw": 1.2})
        elif title == "plain, 4 blocks":
            axes.text(10, 2.5, "outside the window", fontsize=10, color=INK, ha="center")
    save(figure, "receptive-fields.png")


if __name__ == "__main__":
    main()
