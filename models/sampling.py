"""Drawing an image from a PixelCNN, pixel after pixel.

The very lines that compute the loss run here, on a copy of the network whose convolutions keep
their inputs so far and answer for one pixel (fast/stream.py): exact, and hundreds of times less
work than a full pass for every pixel. docs/08-pixelcnn.md says why, docs/10-speed.md counts it.
"""

import numpy as np

from scratchnet import no_grad
from scratchnet.backend import raw, to_numpy, xp
from scratchnet.fast.stream import Stream, streaming
from scratchnet.inputs import integers, no_nan, require


def draw(model, n, rng, labels=None, temperature=1.0, known=None, mask=None, guidance=1.0,
         progress=None):
    """n images of a PixelCNN: integers below L, (n, H, W, C), on the host.

    labels: integers (n,), where the model is conditional. temperature: models/likelihoods.py.
    known, mask: values (n, H, W, C), of which those are drawn anew where the mask (H, W) is true,
    given all pixels before them, and the others kept. If one image is known, (1, H, W, C), all n
    start from it, and its rows above the first drawn one are computed once. progress: called after
    each row. guidance: w, where the model was trained with a part of the labels untold: logits are

        l(no label) + w (l(label) - l(no label)),   p ~ p(x_i) (p(x_i | label) / p(x_i))^w

    w = 1 is the model as it is. Above 1 what the label makes likelier gets likelier still, and what
    it makes less likely, rarer: images are more of their class, and mostly less varied. Source: Ho
    & Salimans 2022 (2207.12598), eq. 6, with 1 + their w. Raises ValueError for a temperature not
    above 0, another shape of mask, or a guidance where nothing is untold; FloatingPointError for
    logits that are NaN (on the host only).
    """
    for values in rows(model, n, rng, labels, temperature, known, mask, guidance):  # noqa: B007
        if progress is not None:
            progress()
    return to_numpy(values)


def rows(model, n, rng, labels=None, temperature=1.0, known=None, mask=None, guidance=1.0):
    """The same, row after row: after each yields the values, one array, whose later rows are still
    0 or as known."""
    (H, W, C), rng = model.image_shape, np.random.default_rng(rng)
    require(n > 0, "how many images? {} is none", n)
    require(temperature > 0, "temperature must be above 0, not {}", temperature)
    labels, copies = model.check_labels(labels, n), 1
    if guidance != 1:
        require(model.untold, "guidance: for a model that was trained with labels untold")
        labels, copies = xp.concatenate([labels, xp.full(len(labels), model.num_classes)]), 2
    likelihood, colours = model.likelihood, model.colours
    u = xp.asarray(rng.random((H, W, colours, likelihood.draws, n), dtype=np.float32))
    values = xp.zeros((copies * n, H, W, C), np.int32)
    drawn = values.reshape(copies, n, H, W, colours, -1)  # the same, by what is drawn together
    mask = np.ones((H, W), bool) if mask is None else np.asarray(mask, bool)
    require(mask.shape == (H, W), "mask: {}, but images are of {} x {}", mask.shape, H, W)
    if known is not None:
        # No pixel sees itself or what comes after it.
        values.reshape(copies, n, H, W, C)[:] = integers("known", known, model.levels, "values")
    one = known is not None and len(known) == 1 and (labels is None or (labels == labels[0]).all())
    stream = Stream(1 if one else len(values), W)
    net = streaming(model, stream)
    for i in range(H):
        with no_grad():  # not over the yield: whoever takes the rows may be recording
            stream.i = i
            if stream.n < len(values) and mask[i].any():
                stream.widen(n)
            row = model.inputs(values[:stream.n, i:i + 1])
            own = None if labels is None else labels[:stream.n]
            links = net.vertical(row, own)
            if not mask[i].any():  # nothing to draw, but later rows need its features: all at once
                net.horizontal(row, links, own)
            else:
                for j in range(W):
                    stream.j = j
                    here = [raw(link)[:, 0, j] for link in links]
                    if not mask[i, j]:
                        net.horizontal(model.inputs(values[:, i, j]), here, labels)
                    else:
                        for c in range(colours):
                            h = net.horizontal(model.inputs(values[:, i, j]), here, labels)
                            y = raw(net.output(h))[:, c]
                            if copies == 2:
                                y = y[n:] + guidance * (y[:n] - y[n:])
                            no_nan("PixelCNN: logits", y)
                            drawn[:, :, i, j, c] = likelihood.draw(y, u[i, j, c], temperature)
                    for layer in net.first_layers():  # they were called before the pixel was drawn
                        layer.put(model.inputs(values[:, i, j]))
        yield values[:n]
