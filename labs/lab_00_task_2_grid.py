# %% [markdown]
# # Lab 00, task 2: grid search, written by yourself
#
# By hand we tried this and that. A *grid search* is more orderly: write down some values for every hyperparameter, and
# train a network for each combination. You write it in a few lines, see it find a good network, and see what it costs: the
# grid grows faster than anyone's patience.
#
# What is the best configuration $\lambda$? The one whose model has the smallest loss $L$ on data still to come. Nobody has
# those data, so we replace them by data that were held back, in $K$ folds or, as below, in one:
#
# $$\lambda^* = \arg\min_\lambda \; \mathbb E\big[L(\lambda)\big] \;\approx\;
# \arg\min_\lambda \; \frac1K \sum_{k=1}^{K} L\big(\lambda; \text{ trained without, judged on fold } k\big).$$
#
# You need no cluster here. In a terminal: `python labs/lab_00_task_2_grid.py`.

# %%
import itertools
import time

import numpy as np

import raytune_hpo as hpo
from raytune_hpo import workshop
from raytune_hpo.workshop import network

X, y, X_valid, y_valid = network.digits()

# %% [markdown]
# ## What is searched
#
# `score` trains the network of task 1 with the settings it is given, and says how many of the 450 judging pictures are
# read correctly. For the search it is a black box: settings in, a number out.


# %%
def score(learning_rate, batch_size, momentum=0.0):
    """The accuracy of a network that was trained with these settings."""
    W = network.train(X, y, learning_rate=learning_rate, batch_size=batch_size, momentum=momentum)
    return network.accuracy(W, X_valid, y_valid)


print(f"accuracy of one run  {score(learning_rate=0.01, batch_size=32):.3f}")

# %% [markdown]
# ## All combinations
#
# Three learning rates and four batch sizes make $3 \times 4 = 12$ combinations. The *Cartesian product* lists them, and
# Python has it: `itertools.product([1, 2], ["a", "b"])` gives (1, "a"), (1, "b"), (2, "a"), (2, "b").


# %%
def grid(*values):
    """Every combination of the given lists of values, as a list of tuples."""
    # >>> your turn: itertools.product takes the lists one by one; the star in product(*values) hands them over so
    return list(itertools.product(*values))
    # <<<


pairs = grid([1, 2], ["a", "b"])
assert isinstance(pairs, list), f"grid should give a list, and gives a {type(pairs).__name__}; list(...) makes one"
assert all(isinstance(pair, tuple) for pair in pairs), "every combination should be a tuple"
assert pairs == [(1, "a"), (1, "b"), (2, "a"), (2, "b")], "the last list should run fastest: (1, 'a'), then (1, 'b')"
assert grid([1], ["a", "b"], [True]) == [(1, "a", True), (1, "b", True)], "three lists should give triples"

small = grid([0.001, 0.01, 0.1], [10, 20, 50, 100])
print(f"combinations  {len(small)}")

# %% [markdown]
# ## How long will it take?
#
# After $k$ of $n$ runs have taken $t$ seconds, the others should take about
#
# $$t_\text{left} = \frac{t}{k} (n - k).$$


# %%
def time_left(elapsed, done, total):
    """Seconds until all are done, if the rest goes like what has been done."""
    # >>> your turn: the formula above
    return elapsed / done * (total - done)
    # <<<


assert time_left(elapsed=10, done=2, total=12) == 50, "2 runs took 10 s, so the other 10 should take 50 s"

# %% [markdown]
# ## The search
#
# A loop over the combinations, which remembers every score.


# %%
def search(combinations):
    """The score of every combination, in a dict."""
    scores = {}
    started = time.perf_counter()
    for done, settings in enumerate(combinations, start=1):
        # >>> your turn: score these settings and keep the result in scores, under the key settings.
        #     score(*settings) hands the numbers of a tuple over one by one.
        scores[settings] = score(*settings)
        # <<<
        if done % (len(combinations) // 4) == 0:
            left = time_left(time.perf_counter() - started, done, len(combinations))
            print(f"{done:3} of {len(combinations)} done, about {left:4.1f} s left")
    assert isinstance(scores, dict) and list(scores) == combinations, "scores should have one for every combination"
    return scores


scores = search(small)
best = max(scores, key=scores.get)
print(f"best of {len(scores)}    rate {best[0]}, batch size {best[1]}: accuracy {scores[best]:.3f}")

# %% [markdown]
# ## The grid grows
#
# The best learning rate was the largest one of the grid. Perhaps a larger one is better still? One more value makes
# $4 \times 4 = 16$ runs.

# %%
learning_rates, batch_sizes = [0.001, 0.01, 0.1, 2.0], [10, 20, 50, 100]
scores = search(grid(learning_rates, batch_sizes))
best = max(scores, key=scores.get)
print(f"best of {len(scores)}    rate {best[0]}, batch size {best[1]}: accuracy {scores[best]:.3f}")

# %%
table = np.array([[scores[rate, size] for size in batch_sizes] for rate in learning_rates])
figure = workshop.figure("Accuracy of every combination", x="batch size", y="learning rate")
figure.add_heatmap(
    x=[str(size) for size in batch_sizes],
    y=[str(rate) for rate in learning_rates],
    z=table,
    text=table.round(3),
    texttemplate="%{text}",
    colorscale="Blues",
    zmin=0,
    zmax=1,
)
figure.update_xaxes(type="category")
figure.update_yaxes(type="category")
workshop.show(figure, "lab_00_task_2_grid")

# %% [markdown]
# Two things can be seen. Small batches do better here, as they make more steps out of the same pictures. And at rate 2.0
# training *diverges*: every step overshoots, the weights grow without limit, and the network reads no better than by
# guessing, 0.1. The four new runs have brought nothing.

# %%
by_rate = {rate: [scores[rate, size] for size in batch_sizes] for rate in learning_rates}
for rate, values in by_rate.items():
    print(f"rate {rate:<5}  worst {min(values):.3f}  best {max(values):.3f}")

# %% [markdown]
# ## And grows again
#
# We left momentum at zero. Three values of it, and the grid has $4 \times 4 \times 3 = 48$ points. That is the trouble with
# grids: every new hyperparameter *multiplies* the number of runs.
#
# $$\text{runs} = \prod_{\text{hyperparameters}} \text{number of values}$$

# %%
all_scores = search(grid(learning_rates, batch_sizes, [0.0, 0.5, 0.9]))
best_of_all = max(all_scores, key=all_scores.get)
found = f"rate {best_of_all[0]}, batch size {best_of_all[1]}, momentum {best_of_all[2]}"
print(f"best of {len(all_scores)}    {found}: accuracy {all_scores[best_of_all]:.3f}")
at_highest = [value for settings, value in all_scores.items() if settings[0] == max(learning_rates)]
diverged = [value for value in at_highest if value < 0.5]
print(f"diverged at rate {max(learning_rates)}  {len(diverged)} of {len(at_highest)}")

# %% [markdown]
# Momentum helps. But a quarter of the runs had the hopeless rate, and the loop went through all of them.

# This growth has a name, the *curse of dimensionality*: with $d$ hyperparameters of $m$ values each, a grid has $m^d$
# points.

# %%
figure = workshop.figure("What two grids cost and find", x="runs", y="best accuracy so far")
for name, found_scores in (("16 runs", scores), ("48 runs", all_scores)):
    values = np.maximum.accumulate(list(found_scores.values()))
    runs = np.arange(1, len(values) + 1)
    figure.add_scatter(x=runs, y=values, mode="lines", line={"shape": "hv"}, name=name)
workshop.show(figure, "lab_00_task_2_cost")

num_values = 4
for num_parameters in range(2, 8):
    num_runs = num_values**num_parameters
    print(f"{num_parameters} hyperparameters with {num_values} values each  {num_runs:6,} runs")

# %% [markdown]
# ## The same, ready-made
#
# raytune_hpo has a grid search too. It takes an *objective* (a function of a configuration, which is a dict), a *space*
# (which values there are), and the name of what is to be as large as possible. `runtime="local"` runs it right here. From
# lab 03 on that is left out, and the runs are spread over all machines of a cluster.


# %%
def objective(config):
    return {"accuracy": score(**config)}


results = hpo.tune(
    objective,
    {"learning_rate": hpo.grid_search(learning_rates), "batch_size": hpo.grid_search(batch_sizes)},
    metric="accuracy",
    mode="max",
    sampler="grid",
    runtime="local",
    storage="memory",
    progress=False,
)
print(f"best of {len(results)}, ready-made  {results.best_config}")
print(f"its accuracy            {results.best_value:.3f}")

# %% [markdown]
# ## What to take with you
#
# * A grid is easy to write, easy to read and easy to run in parallel, as no run waits for another.
# * It multiplies. Seven hyperparameters with four values each are 16,384 runs: the curse of dimensionality.
# * It wastes. Whole rows of the table above were hopeless, and nobody told the loop.
# * It cannot find what stands between its values.
#
# **To try.** Put the combinations into another order, `random.shuffle`, and draw the curves again. Which order would you
# like if somebody may pull the plug at any time? And what would you change so that hopeless rows cost less?

# %%
# What this lab says, checked:
assert [len(small), len(scores), len(all_scores)] == [12, 16, 48], "the grid grows"
assert len(results) == len(scores), "yours and the ready-made one try the same"
assert results.best_value == scores[best], "and find the same"
assert scores[best] > 0.85, "a grid finds a good network"
assert all_scores[best_of_all] >= scores[best], "the larger grid contains the smaller one"
assert len(diverged) >= 6, "many runs diverge at the highest learning rate"
