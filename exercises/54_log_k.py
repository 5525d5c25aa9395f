"""54. What a grid of codes can say (predict)

A VQ-VAE's posterior is sure, and to its prior all K codes are equally likely; so the KL of each
vector is log K, whatever the image. Count in bits, for 7 x 7 codes of 512, and compare with the
pixels. And what is the perplexity of four codes that are used equally, and of four of which two are
used?

    import numpy as np
    from scratchnet import losses
    bits_of_the_grid = 7 * 7 * np.log(512) / np.log(2)
    bits_of_the_pixels = 28 * 28 * 8
    equal = losses.perplexity(np.array([0.25, 0.25, 0.25, 0.25]))
    two = losses.perplexity(np.array([0.5, 0.5, 0, 0]))

Read docs/07-vqvae.md, (7.3) and (7.12).
"""


def predict():
    # return bits_of_the_grid, bits_of_the_pixels, equal, two
    raise NotImplementedError
