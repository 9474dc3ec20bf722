"""A small network learns to read digits, with nothing but cyconv's convolutions and gradients.
============================================================================================

Three convolutions, the first two with a ReLU; the last, as large as its map, is a dense layer:

    (N, 1, 8, 8) -> 3 x 3 -> (N, 32, 8, 8) -> 3 x 3, stride 2 -> (N, 64, 4, 4) -> 4 x 4 -> (N, 10)

The loss is the cross-entropy of the softmax. Backwards, each layer hands the gradient of its output
to :func:`cyconv.conv_vjp` and gets those of its input, weights and bias; Adam takes the step. While
training, half of what the last layer sees is dropped. The data are scikit-learn's 1797 handwritten
digits, of which a third is held out.
"""

import numpy as np
from gallery import arguments, panels, save
from sklearn.datasets import load_digits

import cyconv

SEED = 0
BATCH = 16
KEEP = 0.5
LAYERS = (  # (K, C, R, S) and geometry
    ((32, 1, 3, 3), {"padding": 1}),
    ((64, 32, 3, 3), {"padding": 1, "stride": 2}),
    ((10, 64, 4, 4), {}),
)
LAST = (64, 4, 4)  # the input of the last layer


def tracked(items):
    """`items`, with a progress bar on stderr if rich is installed."""
    try:
        from rich.console import Console
        from rich.progress import track
    except ImportError:
        return items
    return track(items, "training", console=Console(stderr=True))


def initial(rng, dtype=np.float32):
    """Weights of variance 2 / fan-in (He et al. 2015) and zero biases: [w, b, w, b, ...]."""
    parameters = []
    for shape, _ in LAYERS:
        scale = np.sqrt(2 / np.prod(shape[1:]))
        parameters += rng.normal(0, scale, shape).astype(dtype), np.zeros(shape[0], dtype)
    return parameters


def dropped(rng, shape, dtype=np.float32):
    """Zeros, and 1 / KEEP with the probability KEEP: dropout (Srivastava et al. 2014)."""
    return (rng.random(shape) < KEEP).astype(dtype) / KEEP


def forward(parameters, x, drop=1):
    """The inputs of all layers, and the scores (N, 10)."""
    inputs = [x]
    for i, (_, geometry) in enumerate(LAYERS[:-1]):
        w, b = parameters[2 * i : 2 * i + 2]
        inputs.append(cyconv.conv2d(inputs[-1], w, b, activation="relu", **geometry))
    inputs[-1] = inputs[-1] * drop
    return inputs, cyconv.conv2d(inputs[-1], *parameters[-2:], **LAYERS[-1][1])[:, :, 0, 0]


def cross_entropy(logits, labels):
    """Mean of -log softmax(logits)[label], and its gradient: (softmax - one-hot) / N."""
    logits = logits - logits.max(axis=1, keepdims=True)
    log_softmax = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    rows = np.arange(len(labels))
    gradient = np.exp(log_softmax)
    gradient[rows, labels] -= 1
    return -log_softmax[rows, labels].mean(), gradient / len(labels)


def loss_and_gradients(parameters, x, labels, drop):
    """The loss of one batch, and its gradient for each parameter."""
    inputs, scores = forward(parameters, x, drop)
    loss, g = cross_entropy(scores, labels)
    g, gradients = g[:, :, None, None], []
    for i in reversed(range(len(LAYERS))):
        g, *of_layer = cyconv.conv_vjp(inputs[i], parameters[2 * i], g, **LAYERS[i][1])
        gradients = of_layer + gradients
        g = g * (inputs[i] > 0)  # of the ReLU that made this input
        if i + 1 == len(LAYERS):
            g = g * drop
    return loss, gradients


def train(parameters, x, labels, epochs, rng, score):
    """Adam (Kingma & Ba 2015) in place; the loss of every step and the score of every epoch."""
    means, squares = ([np.zeros_like(p) for p in parameters] for _ in range(2))
    losses, scores = [], []
    for epoch in tracked(range(epochs)):
        rate = 2e-3 * (1 + np.cos(np.pi * epoch / epochs)) / 2
        order = rng.permutation(len(x))
        for start in range(0, len(x), BATCH):
            batch = order[start : start + BATCH]
            drop = dropped(rng, (len(batch), *LAST))
            loss, gradients = loss_and_gradients(parameters, x[batch], labels[batch], drop)
            losses.append(loss)
            t = len(losses)
            for p, g, m, v in zip(parameters, gradients, means, squares, strict=True):
                m += 0.1 * (g - m)
                v += 0.001 * (g * g - v)
                p -= rate * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
        scores.append(score())
    return losses, scores


def draw(axes, losses, scores, x, labels, guesses):
    """The loss curve, the accuracy, and digits that are read wrongly."""
    epochs = np.arange(1, len(losses) + 1) * len(scores) / len(losses)
    width = 50
    mean = cyconv.conv1d(np.array(losses)[None], np.full((1, 1, width), 1 / width))[0]
    axes[0].semilogy(epochs, losses, color="0.85", label="each batch")
    axes[0].semilogy(epochs[width - 1 :], mean, label=f"mean of {width}")
    axes[0].set(title="loss", xlabel="epoch")
    axes[0].legend()
    axes[1].plot(np.arange(1, len(scores) + 1), 100 * np.array(scores), ".-")
    axes[1].set(title=f"held-out third: {scores[-1]:.1%} right", xlabel="epoch", ylabel="% right")
    axes[2].set_title("read wrongly: as → is")
    axes[2].axis("off")
    for i, n in enumerate(np.flatnonzero(guesses != labels)[:12]):
        inset = axes[2].inset_axes((i % 4 * 0.25, 0.7 - i // 4 * 0.34, 0.23, 0.23))
        inset.imshow(x[n, 0], "gray_r")
        inset.set_title(f"{guesses[n]} → {labels[n]}", fontsize=8, pad=2)
        inset.set(xticks=[], yticks=[])


def main(argv=None):
    """Train, report, draw, save."""
    args = arguments(__doc__, argv)
    rng = np.random.default_rng(SEED)
    digits = load_digits()
    x, labels = digits.images[:, None].astype(np.float32) / 16, digits.target
    order = rng.permutation(len(x))
    held, kept = order[: len(x) // 3], order[len(x) // 3 :]
    parameters = initial(rng)

    def guesses():
        return forward(parameters, x[held])[1].argmax(axis=1)

    def score():
        return float(np.mean(guesses() == labels[held]))

    losses, scores = train(parameters, x[kept], labels[kept], 4 if args.small else 20, rng, score)
    print(f"{sum(p.size for p in parameters)} parameters, {len(losses)} steps")
    print(f"held-out third: {scores[-1]:.2%} of {len(held)} right")
    figure, axes = panels(1, 3, 10, 3.2)
    draw(axes[0], losses, scores, x[held], labels[held], guesses())
    save(figure, args.out, "train_digits")
    return losses, scores


if __name__ == "__main__":
    main()
