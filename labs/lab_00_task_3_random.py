# %% [markdown]
# # Lab 00, task 3: random search, and why it works
#
# The grid of task 2 grew too fast. Here we leave it to chance: sixteen points, drawn at random from a space of 96. That
# sounds careless. You will see that it is at least as good as a grid of sixteen, why that is so, and one mistake that is
# easily made.
#
# You need no cluster here. In a terminal: `python labs/lab_00_task_3_random.py`.

# %%
import itertools

import numpy as np

import raytune_hpo as hpo
from raytune_hpo import workshop
from raytune_hpo.workshop import network

X, y, X_valid, y_valid = network.digits()

# %% [markdown]
# ## The space
#
# Four learning rates, four batch sizes, three momenta, and two widths of the hidden layer: $4 \cdot 4 \cdot 3 \cdot 2 = 96$.

# %%
space = {
    "learning_rate": [0.001, 0.01, 0.1, 1.0],
    "batch_size": [10, 20, 50, 100],
    "momentum": [0.0, 0.5, 0.9],
    "width": [8, 64],
}
points = [dict(zip(space, values, strict=True)) for values in itertools.product(*space.values())]
print(f"points in the space  {len(points)}")


def score(point):
    """The accuracy of a network that was trained with these settings."""
    return network.accuracy(network.train(X, y, **point), X_valid, y_valid)


# %% [markdown]
# ## Sixteen at random
#
# The space is a list, so a random search is a handful of random places in it: $i_1, \dots, i_{16}$ from $0, \dots, 95$.


# %%
def draw(num_points, rng):
    """Places of different points in the list, drawn at random."""
    # >>> your turn: rng.choice(len(points), num_points) draws places. Mind the mistake that comes below!
    return rng.choice(len(points), num_points, replace=False)
    # <<<


places = draw(len(points), np.random.default_rng(0))
assert np.asarray(places).dtype.kind == "i", "draw places in the list, which are whole numbers, and not points"
assert len(places) == len(points), "as many places should be drawn as are asked for"
assert len(set(places)) == len(points), "a point was drawn twice: draw without replacement"
assert min(places) == 0 and max(places) == len(points) - 1, "the places should be 0 to 95"
one, other = (list(draw(16, np.random.default_rng(seed))) for seed in (0, 1))
assert one != other, "another rng should draw other places"

chosen = draw(16, np.random.default_rng(0))
found = [score(points[i]) for i in chosen]
winner = points[chosen[np.argmax(found)]]
print(f"best of 16 random points  {winner}: accuracy {max(found):.3f}")

# %% [markdown]
# ## The mistake: drawing with replacement
#
# `rng.choice` puts back what it has drawn unless you say `replace=False`, and then a point may come twice. How often does
# that happen? All sixteen differ with probability
#
# $$\frac{96}{96} \cdot \frac{95}{96} \cdots \frac{81}{96}.$$

# %%
# >>> your turn: that product; np.arange(81, 97) are its sixteen numerators. Divide before you multiply: the product
#     of the numerators alone is too large for a whole number of numpy.
all_differ = np.prod(np.arange(81, 97) / 96)
# <<<
assert workshop.is_close(all_differ, 0.266, within=1e-3), (
    "the product should be about 0.266; did you divide before you multiplied?"
)

rng = np.random.default_rng(1)
draws = [rng.choice(len(points), 16, replace=True) for _ in range(2_000)]
repeating = np.mean([len(set(places)) < 16 for places in draws])
wasted = np.mean([16 - len(set(places)) for places in draws])
print(f"searches in which a point repeats  {repeating:.0%} (by the formula {1 - all_differ:.0%})")
print(f"runs wasted on repeats             {wasted:.1f} of 16")

# %% [markdown]
# Most searches would train some network twice and learn nothing from it.
#
# ## Is random as good as a grid?
#
# One search proves nothing: we may have been lucky. To compare fairly we need to know the score of *every* point, once. Then
# searches cost nothing, and we can repeat them a thousand times.

# %%
all_scores = np.array([score(point) for point in points])
print(f"best of all 96  {points[all_scores.argmax()]}: accuracy {all_scores.max():.3f}")

# %% [markdown]
# A grid of sixteen points has four learning rates and four batch sizes. Momentum and width it has to *fix*. There are six
# ways to do so, and beforehand nobody knows which of them is good.

# %%
grids = {}
for momentum, width in itertools.product(space["momentum"], space["width"]):
    members = [i for i, p in enumerate(points) if p["momentum"] == momentum and p["width"] == width]
    # >>> your turn: the best of all_scores among the members of this grid
    grids[momentum, width] = all_scores[members].max()
    # <<<
assert all(np.size(best) == 1 for best in grids.values()), "a grid should have one best score"
assert set(grids.values()) <= set(all_scores), "what is best in a grid should be one of the scores"
assert len(set(grids.values())) > 1, "a grid should know the scores of its own members only"
assert max(grids.values()) == max(all_scores), "every point is in one of the grids, so one of them has the best of all"
for (momentum, width), value in grids.items():
    print(f"grid of 16 with momentum {momentum}, width {width:<2}  {value:.3f}")

# %%
rng = np.random.default_rng(2)
random_best = np.array([all_scores[draw(16, rng)].max() for _ in range(1_000)])
grid_best = np.array(list(grids.values()))
at_least_as_good = np.mean(random_best[:, None] >= grid_best)  # every search against every grid
print(f"mean of the grids' best                 {grid_best.mean():.3f}")
print(f"mean of the random searches' best       {random_best.mean():.3f}")
print(f"a random search is at least as good in  {at_least_as_good:.0%} of the comparisons")

# %%
figure = workshop.figure("Best accuracy after 16 runs", x="accuracy", y="random searches")
figure.add_histogram(x=random_best, xbins={"size": 0.005}, name="1,000 random searches")
for value in grid_best:
    figure.add_vline(x=value, line={"color": "#E69F00", "width": 2})
in_legend = {"mode": "lines", "line": {"color": "#E69F00"}, "name": "the six grids"}
figure.add_scatter(x=[None], y=[None], **in_legend)
workshop.show(figure, "lab_00_task_3_random_or_grid")

# %% [markdown]
# ## Why it works
#
# Suppose only one of two hyperparameters matters. A grid of $4 \times 4$ then tries the important one at only *four* places,
# each four times over. Sixteen random points try it at *sixteen* places. You need not know which one matters.

# %%
rng = np.random.default_rng(3)
steps = (np.arange(4) + 0.5) / 4
lattice = np.array(list(itertools.product(steps, steps)))
scattered = rng.uniform(0, 1, (16, 2))
print(f"different values of the important one, grid    {len(set(lattice[:, 0]))}")
print(f"different values of the important one, random  {len(set(scattered[:, 0]))}")

# %%
title = "Sixteen points, and what the important one sees"
figure = workshop.figure(title, x="matters", y="does not matter", height=460)
both = (("grid", lattice, "#E69F00", -0.06), ("random", scattered, "#0072B2", -0.12))
for name, places, colour, foot in both:
    dot = {"color": colour, "size": 9}
    figure.add_scatter(x=places[:, 0], y=places[:, 1], mode="markers", name=name, marker=dot)
    mark = {"color": colour, "symbol": "line-ns-open", "size": 12}
    figure.add_scatter(x=places[:, 0], y=[foot] * 16, mode="markers", marker=mark, showlegend=False)
workshop.show(figure, "lab_00_task_3_why")

# %% [markdown]
# How much is that worth? Take a function that depends on $u$ alone, with a narrow peak at a place that changes every time:
#
# $$f(u, v) = e^{-100 (u - c)^2}, \qquad c \text{ anywhere in } [0, 1].$$


# %%
def peak(u, c):
    # >>> your turn: the function above
    return np.exp(-100 * (u - c) ** 2)
    # <<<


assert workshop.is_close(peak(np.array([0.5, 0.6]), 0.5), [1, np.exp(-1)]), (
    "the peak should be 1 at c, and exp(-1) 0.1 beside it"
)

num_repeats = 2_000
places = rng.uniform(0, 1, num_repeats)
by_grid = np.array([np.max(peak(lattice[:, 0], c)) for c in places])
by_random = np.array([np.max(peak(rng.uniform(0, 1, 16), c)) for c in places])
print(f"best of a 4 x 4 grid, on average      {by_grid.mean():.3f}")
print(f"best of 16 random points, on average  {by_random.mean():.3f}")

# %% [markdown]
# ## The same, ready-made
#
# With raytune_hpo you need not list values at all. A domain is a range, and a learning rate is best drawn from a
# *logarithmic* one: as often between 0.001 and 0.01 as between 0.1 and 1.


# %%
def objective(config):
    return {"accuracy": score(config)}


ranges = {
    "learning_rate": hpo.loguniform(0.001, 1.0),
    "batch_size": hpo.lograndint(10, 101),  # whole numbers; the upper bound is not included
    "momentum": hpo.uniform(0.0, 0.95),
    "width": hpo.choice([8, 64]),
}
results = hpo.tune(
    objective,
    ranges,
    metric="accuracy",
    mode="max",
    sampler="random",
    num_trials=16,
    seed=0,
    runtime="local",
    storage="memory",
    progress=False,
)
print(f"best of 16 from ranges  {results.best_config}: accuracy {results.best_value:.3f}")

# %% [markdown]
# ## What to take with you
#
# * At the same cost, random search is as good as a grid or better, unless you know already which values to fix.
# * It tries every hyperparameter at as many places as it has runs. That is what helps when only a few of them matter.
# * You may stop it at any time, and go on at any time. A grid that is stopped half-way has a hole.
# * Draw without replacement, or from ranges, where nothing repeats.
#
# **To try.** Draw 32 instead of 16: how much better is the best one, on average? And one thing to think about: neither
# search has *learned* anything from the runs it had seen. After ten of them, where would you look? That is lab 01.

# %%
# What this lab says, checked:
assert len(set(chosen)) == 16, "draw without replacement"
assert repeating > 0.5, "with replacement, most searches repeat a point"
assert abs(repeating - (1 - all_differ)) < 0.05, "as the formula says"
assert at_least_as_good > 0.5, "random search is at least as good as a grid, more often than not"
assert random_best.mean() > grid_best.mean(), "and on average"
assert by_random.mean() > by_grid.mean() + 0.05, "clearly so where one hyperparameter matters"
assert results.best_value > 0.85, "ranges work too"
