"""7. One side, two sides, and a kink (predict)

A difference over a step of 0.1 stands in for a derivative. What does each say, and which of them is
right to its last digit?

    def f(x): return x * x
    one_side = (f(3.1) - f(3.0)) / 0.1
    two_sides = (f(3.1) - f(2.9)) / 0.2
    at_a_kink = (abs(0.1) - abs(-0.1)) / 0.2

Read docs/01-chain-rule.md, (1.6) and "Kinks".
"""


def predict():
    # return one_side, two_sides, at_a_kink
    raise NotImplementedError
