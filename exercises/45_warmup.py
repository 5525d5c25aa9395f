"""45. The weight of the KL, and three of its values (predict)

A VAE with beta = 4, whose weight rises over 10 steps: it is beta t / 10 in step t = 1, ..., 10.
Four steps are done; the fifth is being taken. And the KL of a posterior that says nothing, of one
that is moved by 2, and of one that is sure (sigma = 0.1).

    import numpy as np
    from models import VAE
    from scratchnet import losses
    model = VAE(4, h_dim=3, z_dim=1, beta=4.0, warmup=10)
    model.steps_done = 4
    weight = model.kl_weight()
    mu, sigma = np.array([0.0, 2.0, 0.0]), np.array([1.0, 1.0, 0.1])
    kl = losses.gaussian_kl(mu, np.log(sigma ** 2), "none").data
    nothing, moved, sure = kl

(log 10 is 2.303; two digits are enough.)
Read docs/06-vae.md, (6.4).
"""


def predict():
    # return weight, nothing, moved, sure
    raise NotImplementedError
