# %% [markdown]
# # Lab 00, task 1: one network, trained by hand
#
# A neural network with one hidden layer learns to read handwritten digits. We write its training loop ourselves, from three
# formulas. The loop needs a *learning rate*, a *batch size* and a *momentum*, and it does not say which ones. You choose
# them, look at the accuracy, and choose again. By the end you should wish that somebody else did that for you.
#
# You need no cluster here. In a terminal: `python labs/lab_00_task_1_by_hand.py`.

# %%
import numpy as np

from raytune_hpo import workshop
from raytune_hpo.workshop import network

# %% [markdown]
# ## The data
#
# They come with scikit-learn: pictures of 8 x 8 pixels, each a row of 64 numbers between 0 and 1. The network learns from
# 1,347 of them, and is judged by 450 others.

# %%
X, y, X_valid, y_valid = network.digits()
print(f"pictures to learn from  {len(X)}")
print(f"pictures to judge by    {len(X_valid)}")

# %%
figure = workshop.figure("What the network sees", x="", y="", height=220)
six = np.hstack([picture.reshape(8, 8) for picture in X[:6]])
figure.add_heatmap(z=six[::-1], colorscale="Greys", showscale=False, hoverinfo="skip")
figure.update_xaxes(visible=False)
figure.update_yaxes(visible=False, scaleanchor="x")
workshop.show(figure, "lab_00_task_1_digits")
print(f"they show               {y[:6]}")

# %% [markdown]
# ## The network
#
# The hidden layer is $h = \max(X W_1 + b_1, 0)$. From it come ten scores, one for each digit, $s = h W_2 + b_2$, and the
# *softmax* makes probabilities of them:
#
# $$p_k = \frac{e^{s_k}}{\sum_j e^{s_j}}.$$


# %%
def forward(W, X):
    """The hidden layer, and the probability of each digit, for every picture."""
    W1, b1, W2, b2 = W
    hidden = np.maximum(X @ W1 + b1, 0)
    scores = hidden @ W2 + b2
    scores = scores - scores.max(axis=1, keepdims=True)  # keeps e^s small; changes no probability
    # >>> your turn: the softmax of every row; np.exp(scores).sum(axis=1, keepdims=True) adds up a row
    p = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    # <<<
    return hidden, p


def accuracy(W, X, y):
    """The share of pictures whose most probable digit is the right one."""
    return np.mean(forward(W, X)[1].argmax(axis=1) == y)


untrained = network.initial(32, np.random.default_rng(0))
found, expected = forward(untrained, X)[1], network.probabilities(untrained, X)[1]
assert np.shape(found) == (len(X), 10), "every picture should get ten probabilities"
assert workshop.is_close(np.sum(found, axis=1), 1), "the probabilities of a picture should add up to 1"
assert workshop.is_close(found, expected), (
    "each should be the exponential of its score, divided by the sum of its row's"
)
print(f"accuracy without any training  {accuracy(untrained, X_valid, y_valid):.3f}")

# %% [markdown]
# ## Which way is down?
#
# How bad the network is, is said by the *cross-entropy* $L = -\frac1n \sum_i \log p_{i, y_i}$: it is zero when every right
# digit has probability one. Its derivatives by the weights follow from the chain rule, layer by layer from the end
# (*backpropagation*):
#
# $$\delta = \tfrac1n (p - \text{one-hot}(y)), \quad
# \frac{\partial L}{\partial W_2} = h^\top \delta, \quad
# \delta_h = (\delta W_2^\top) \cdot [h > 0], \quad
# \frac{\partial L}{\partial W_1} = X^\top \delta_h.$$


# %%
def gradient(W, X, y):
    """The derivative of the cross-entropy by each of the four groups of weights."""
    hidden, p = forward(W, X)
    delta = (p - np.eye(10)[y]) / len(y)
    # >>> your turn: delta_h, from delta, W2 (which is W[2]) and hidden. True counts as 1, False as 0.
    delta_hidden = (delta @ W[2].T) * (hidden > 0)
    # <<<
    return [X.T @ delta_hidden, delta_hidden.sum(axis=0), hidden.T @ delta, delta.sum(axis=0)]


slopes, right = gradient(untrained, X, y), network.gradient(untrained, X, y)
assert workshop.is_close(slopes[0], right[0]), "delta_hidden is not right yet"

# %% [markdown]
# ## The training loop, with its three knobs
#
# Stochastic gradient descent takes a *batch* of pictures at a time and moves the weights a little downhill. With *momentum*
# $\mu$ it also keeps some of the step before, like a ball that rolls. With the learning rate $\eta$:
#
# $$v \leftarrow \mu v - \eta \frac{\partial L}{\partial W}, \qquad W \leftarrow W + v.$$


# %%
def train(learning_rate, batch_size, momentum, width=32, epochs=5):
    """A trained network, and its accuracy on the judging pictures after every epoch."""
    rng = np.random.default_rng(0)  # the same random numbers every time: only the knobs differ
    W = network.initial(width, rng)
    v = [np.zeros_like(w) for w in W]
    curve = []
    for _ in range(epochs):  # in an epoch every picture is seen once
        order = rng.permutation(len(X))
        for start in range(0, len(X), batch_size):
            batch = order[start : start + batch_size]
            slopes = gradient(W, X[batch], y[batch])
            for i in range(4):
                # >>> your turn: the new v[i] from the old one and slopes[i], then the new W[i]. Two lines.
                v[i] = momentum * v[i] - learning_rate * slopes[i]
                W[i] = W[i] + v[i]
                # <<<
        curve.append(accuracy(W, X_valid, y_valid))
    return W, curve


W, curve = train(learning_rate=0.01, batch_size=32, momentum=0.5)
print(f"accuracy after every epoch  {np.round(curve, 3)}")

# %% [markdown]
# The network learns. From now on the labs take it ready-made from `raytune_hpo.workshop.network`, which computes the same:

# %%
theirs = network.train(X, y, learning_rate=0.01, batch_size=32, momentum=0.5, width=32, epochs=5)
assert workshop.is_close(W[0], theirs[0]), "your loop is not yet the one of raytune_hpo.workshop.network"

# %% [markdown]
# ## Your first choice
#
# Many people begin like this: momentum is said to help, so take all of it, 1.0, and a bold learning rate of 0.1.

# %%
first = train(learning_rate=0.1, batch_size=32, momentum=1.0)[1]
print(f"accuracy of the first choice  {first[-1]:.3f}")

# %% [markdown]
# That is poor. With $\mu = 1$ nothing of a step is ever forgotten: the ball has no friction and rolls on past every valley.
#
# ## And your next ones
#
# Choose better. Turn one knob, look, turn the next, as one does by hand.

# %%
tries = [(0.1, 32, 1.0), (0.1, 32, 0.9), (0.01, 32, 0.9), (0.001, 32, 0.9), (0.01, 200, 0.9)]
# >>> your turn: a list of a few tries of your own, each (learning_rate, batch_size, momentum); one alone is a list, too:
#     [(0.05, 20, 0.8)]
my_tries = [(0.05, 20, 0.8), (0.2, 64, 0.5), (2.0, 64, 0.9)]
# <<<
assert all(np.size(one) == 3 for one in my_tries), "my_tries should be a list of triples, like tries"
assert all(size == int(size) > 0 for _, size, _ in my_tries), (
    "the second of each triple, the batch size, is a whole number"
)
tries += my_tries

figure = workshop.figure("Accuracy after every epoch", x="epoch", y="accuracy", height=480)
found = {}
for learning_rate, batch_size, momentum in tries:
    with np.errstate(all="ignore"):  # where training diverges, numbers overflow
        curve = train(learning_rate, batch_size, momentum)[1]
    found[learning_rate, batch_size, momentum] = curve[-1]
    label = f"rate {learning_rate}, batch {batch_size}, momentum {momentum}"
    figure.add_scatter(x=np.arange(1, 6), y=curve, mode="lines+markers", name=label)
    print(f"{label:42}  {curve[-1]:.3f}")
figure.update_yaxes(range=[0, 1])
beside = {"orientation": "v", "x": 1.02, "xanchor": "left", "y": 1, "yref": "paper"}
figure.update_layout(legend=beside)
workshop.show(figure, "lab_00_task_1_tries")

# %% [markdown]
# ## What can be tuned
#
# Three knobs are few. In a network like this one, and in those that are used in practice, there are many more:
#
# | kind | examples | usually |
# |---|---|---|
# | steps of the training | learning rate, batch size, momentum, number of epochs | numbers, the rate on a log scale |
# | optimizer | SGD, Adagrad, Adam, each with settings of its own | a choice, with a branch for each |
# | schedule of the learning rate | constant, falling in steps, warm-up | a choice with branches |
# | architecture | number of layers, width of each, activation, kernel sizes | whole numbers and choices |
# | regularisation | weight decay, dropout, early stopping | numbers, many of them between 0 and 1 |
# | initial weights | distribution, scale, random seed | choices |
# | data | scaling, augmentation, which features are used | choices |
# | decision | threshold from which on an answer counts as yes | a number between 0 and 1 |
#
# As a space, with a branch for each optimizer (lab 03 explains how it is used):
#
#     space = {
#         "learning_rate": hpo.loguniform(1e-4, 1.0),
#         "layers": hpo.randint(1, 4),
#         "activation": hpo.choice(["relu", "tanh"]),
#         "optimizer": hpo.choice([
#             {"name": "sgd", "momentum": hpo.uniform(0, 0.95)},
#             {"name": "adagrad"},
#         ]),
#     }
#
# ## What to take with you
#
# * The same network with the same data reads 96 of 100 digits, or half of them, or no more than by guessing. The three
#   knobs decide.
# * One run says little about what is possible. A poor run may be a poor model, or a good one with a knob turned wrongly.
# * By hand you turn one knob at a time. But they work together: a rate that is good for momentum 0.5 may diverge at 0.9.
#
# **To try.** How large can the learning rate be before the network diverges, with momentum 0 and with 0.9? Between which
# two runs would you look next? Write down why: a program could follow that rule. The next tasks let it.

# %%
# What this lab says, checked:
assert first[-1] < 0.75, "the first choice is poor"
assert max(found.values()) > 0.93, "there are much better ones"
assert max(found.values()) > first[-1] + 0.2, "and what differs is only the three knobs"
