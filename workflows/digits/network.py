"""A network of 64 inputs, 32 hidden units (ReLU) and 10 outputs (softmax), in plain lists.

A layer is stored by input: `w1[i]` holds the 32 weights that leave input `i`. So a blank pixel costs nothing, and
about half of the pixels are blank. Every sum is written as one multiplication and one addition at a time: the builtin
`sum` rounds differently from Python 3.12 on, and the weights are to be the same to the last bit.
"""

from math import exp, isfinite, log, nan, sqrt

INPUTS, HIDDEN, OUTPUTS = 64, 32, 10


def new_weights(rng):
    """Small random weights, scaled to the number of inputs of their layer."""

    def layer(inputs, outputs):
        bound = sqrt(6.0 / inputs)
        return [[(rng.random() * 2.0 - 1.0) * bound for _ in range(outputs)] for _ in range(inputs)]

    return {
        "w1": layer(INPUTS, HIDDEN),
        "b1": [0.0] * HIDDEN,
        "w2": layer(HIDDEN, OUTPUTS),
        "b2": [0.0] * OUTPUTS,
    }


def inked(picture):
    """The pixels that are not blank, as (index, value from 0 to 1)."""
    return [(at, grey / 16.0) for at, grey in enumerate(picture) if grey]


def forward(weights, pixels):
    """The hidden units and the probabilities of the ten digits."""
    w1, w2 = weights["w1"], weights["w2"]
    hidden = weights["b1"]
    for at, value in pixels:
        hidden = [h + value * w for h, w in zip(hidden, w1[at])]
    hidden = [h if h > 0.0 else 0.0 * h for h in hidden]  # 0 * nan stays nan: a divergence must not hide here
    scores = weights["b2"]
    for h, row in zip(hidden, w2):
        if h:
            scores = [s + h * w for s, w in zip(scores, row)]
    top = max(scores)
    powers = [exp(s - top) for s in scores]
    total = 0.0
    for power in powers:
        total += power
    return hidden, [power / total for power in powers]


def loss_of(probability):
    """The cross entropy of one answer; nan stays nan."""
    return -log(max(probability, 1e-300)) if isfinite(probability) else nan


def best_guess(probabilities):
    return probabilities.index(max(probabilities))


def learn(weights, batch, rate):
    """One step of gradient descent on a small batch; the sum of its losses and the number of right answers."""
    w1, b1, w2, b2 = weights["w1"], weights["b1"], weights["w2"], weights["b2"]
    g1, gb1 = {}, [0.0] * HIDDEN
    g2, gb2 = [[0.0] * OUTPUTS for _ in range(HIDDEN)], [0.0] * OUTPUTS
    loss, right = 0.0, 0
    zeros = gb1

    for pixels, label in batch:
        hidden, error = forward(weights, pixels)
        loss += loss_of(error[label])
        right += best_guess(error) == label
        error[label] -= 1.0
        gb2 = [g + e for g, e in zip(gb2, error)]

        back = []
        for at, h in enumerate(hidden):
            if h:
                g2[at] = [g + h * e for g, e in zip(g2[at], error)]
                slope = 0.0
                for e, w in zip(error, w2[at]):
                    slope += e * w
                back.append(slope)
            else:
                back.append(0.0)
        gb1 = [g + b for g, b in zip(gb1, back)]
        for at, value in pixels:
            g1[at] = [g + value * b for g, b in zip(g1.get(at, zeros), back)]

    step = rate / len(batch)
    for at, gradient in g1.items():
        w1[at] = [w - step * g for w, g in zip(w1[at], gradient)]
    weights["b1"] = [b - step * g for b, g in zip(b1, gb1)]
    weights["w2"] = [[w - step * g for w, g in zip(row, gradient)] for row, gradient in zip(w2, g2)]
    weights["b2"] = [b - step * g for b, g in zip(b2, gb2)]
    return loss, right
