"""Programs written by hand: classifiers trained by stochastic gradient descent on the logistic loss."""

from rlnas.programs.program import Program, parse


def linear(rate: float) -> Program:
    """Return a linear classifier without bias; v1 holds its weights, which start at zero. rate: the learning rate."""
    return parse(
        f"setup: s2={rate!r} | predict: s1=dot(v0,v1) | "
        "learn: s0=sub(s0,s1); s0=mul(s0,s2); v2=scale(s0,v0); v1=add(v1,v2)"
    )


def two_layer(rate: float, spread: float) -> Program:
    """Return a network with one hidden layer of ReLUs, as wide as there are features, without biases.

    m0 and v1 hold its weights, which start as Gaussian with standard deviation `spread`. Both layers learn with the
    gradient of the same weights.
    """
    return parse(
        f"setup: s2={rate!r}; m0=gauss({spread!r}); v1=gauss({spread!r}) | "
        "predict: v2=matvec(m0,v0); v3=heaviside(v2); v2=mul(v3,v2); s1=dot(v2,v1) | "
        "learn: s0=sub(s0,s1); s0=mul(s0,s2); v3=mul(v3,v1); v3=scale(s0,v3); "
        "v2=scale(s0,v2); v1=add(v1,v2); m1=outer(v3,v0); m0=add(m0,m1)"
    )
