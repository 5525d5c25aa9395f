"""Drawing an image from a PixelCNN, pixel after pixel.

The very lines that compute the loss run here, on a copy of the network whose convolutions keep
their inputs so far and answer for one pixel (fast/stream.py): exact, and hundreds of times less
work than a full pass for every pixel. docs/07-pixelcnn.md counts it.
"""

import numpy as np

from scratchnet import no_grad
from scratchnet.backend import to_numpy, xp
from scratchnet.fast.stream import Stream, streaming
from scratchnet.inputs import no_nan
from scratchnet.tensor import raw


@no_grad()
def draw(model, n, rng, labels=None, temperature=1.0, known=None, known_rows=0, progress=None):
    """n images of a PixelCNN: integers below L, (n, H, W, C), on the host.

    labels: integers (n,), where the model is conditional. temperature: models/likelihoods.py.
    known: values (n, H, W, C), whose first known_rows rows are kept as they are. progress: called
    after each row. Raises ValueError for a temperature not above 0, FloatingPointError for logits
    that are NaN (on the host only).
    """
    H, W, C = model.image_shape
    if not temperature > 0:
        raise ValueError(f"temperature must be above 0, not {temperature}")
    labels = model.check_labels(labels, n)
    likelihood, colours = model.likelihood, model.colours
    u = xp.asarray(rng.random((H, W, colours, likelihood.draws, n), dtype=np.float32))
    values = xp.zeros((n, H, W, C), np.int32)
    drawn = values.reshape(n, H, W, colours, -1)  # the same memory, by what is drawn together
    if known is not None:
        values[:, :known_rows] = xp.asarray(known[:, :known_rows])
    stream = Stream(n, H, W)
    net = streaming(model, stream)
    for stream.i in range(H):
        i, known_row = stream.i, stream.i < known_rows
        links = net.vertical(model.inputs(values[:, i:i + 1]), labels)
        for stream.j in range(W):
            j = stream.j
            here = [raw(link)[:, 0, j] for link in links]
            if known_row:  # nothing to draw, but later pixels need its features
                net.horizontal(model.inputs(values[:, i, j]), here, labels)
            for c in range(0 if known_row else colours):
                h = net.horizontal(model.inputs(values[:, i, j]), here, labels)
                y = raw(net.output(h))[:, c]
                no_nan("PixelCNN: logits", y)
                drawn[:, i, j, c] = likelihood.draw(y, u[i, j, c], temperature)
            for layer in net.first_layers():  # they were called before the pixel was drawn
                layer.put(model.inputs(values[:, i, j]))
        if progress is not None:
            progress()
    return to_numpy(values)
