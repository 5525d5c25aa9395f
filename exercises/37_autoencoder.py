"""37. The loss of an autoencoder (mistake)

The loss of an image is the sum over its pixels of their cross-entropy, in nats; that of a batch is
the mean over its images. Somebody's loss is 784 times too small.

    return losses.bce_with_logits(logits, x, reduction="mean")

logits: a Tensor (n, pixels); x: an array (n, pixels), in [0, 1]. Returns a Tensor, one number.
Read docs/05-network.md, (5.12), and the first lines of scratchnet/losses.py.
"""

from scratchnet import losses


def loss(logits, x):
    raise NotImplementedError
