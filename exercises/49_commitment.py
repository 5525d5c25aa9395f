"""49. Who moves to whom? (mistake)

The codebook term moves codes to the vectors that chose them; the commitment term, times beta, keeps
vectors near their codes. Each holds one side fast with .detach(). Somebody put beta on the wrong
term: the codes crawl, and the encoder is pulled about.

    return beta * mean_square(e - z_e.detach()) + mean_square(z_e - e.detach())

z_e, e: Tensors of one shape; beta: a number. Returns a Tensor, one number.
Read docs/07-vqvae.md, (7.4).
"""

from models.vqvae import mean_square


def vq_terms(z_e, e, beta):
    raise NotImplementedError
