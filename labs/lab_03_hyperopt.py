# %% [markdown]
# # Lab 03: hyperopt, and the same search on a cluster
#
# [Hyperopt](https://hyperopt.github.io/hyperopt/) is an old and popular library for what lab 01 built by hand. A search with
# it has four parts: an *objective*, a *space*, an *algorithm* and a *storage*. We tune the network of lab 00 with it, meet
# a space in which some hyperparameters exist only sometimes, fall into a famous trap, and then hand the very same space to
# raytune_hpo, which runs the trials on all the machines of a cluster.
#
# In a terminal: `python labs/lab_03_hyperopt.py`. On a cluster: `ray submit cluster.yaml labs/lab_03_hyperopt.py`.

# %%
import itertools

import numpy as np
from hyperopt import STATUS_OK, Trials, fmin, hp, space_eval, tpe

import raytune_hpo as hpo
from raytune_hpo import workshop
from raytune_hpo.workshop import network

hpo.connect()  # Ray: on this machine, or where RAY_ADDRESS or RAY_HEAD_SERVICE_HOST and _PORT lead

# %% [markdown]
# ## The smallest example
#
# Which $x$ makes $x^2$ as small as possible? An objective, a space, an algorithm, and a number of trials:

# %%
rng = np.random.default_rng(0)
smallest = fmin(
    lambda x: x**2, hp.uniform("x", -10, 10), algo=tpe.suggest, max_evals=50, rstate=rng, show_progressbar=False
)
print(f"x of the smallest square  {smallest['x']:.3f}")

# %% [markdown]
# ## The objective
#
# A function of one configuration, which is a dict. Hyperopt wants a *loss*, the smaller the better, so we give it
# $1 - \text{accuracy}$: the share of pictures that are read wrongly.


# %%
def accuracy(config):
    """Of a network trained as the configuration says; the same configuration, the same number."""
    X, y, X_valid, y_valid = network.digits()
    optimizer = dict(config["optimizer"])
    W = network.train(
        X,
        y,
        learning_rate=config["learning_rate"],
        batch_size=config["batch_size"],
        optimizer=optimizer["name"],
        momentum=optimizer.get("momentum", 0.0),
    )
    return network.accuracy(W, X_valid, y_valid)


def loss(config):
    # >>> your turn: a dict with the keys "loss" (see above) and "status" (which is STATUS_OK)
    return {"loss": 1 - accuracy(config), "status": STATUS_OK}
    # <<<


by_hand = {"learning_rate": 0.01, "batch_size": 20, "optimizer": {"name": "sgd", "momentum": 0.5}}
print(f"accuracy of a configuration by hand  {accuracy(by_hand):.4f}")
found = loss(by_hand)
assert isinstance(found, dict) and found.get("status") == STATUS_OK, (
    'loss should return a dict whose "status" is STATUS_OK'
)
assert workshop.is_close(found.get("loss"), 1 - accuracy(by_hand)), "the loss should be 1 - accuracy"

# %% [markdown]
# ## The space, with a branch
#
# There are two ways to go downhill. *SGD* has a momentum. *Adagrad* has none: it divides the step of every weight by how
# much that weight has moved before,
#
# $$w \leftarrow w - \frac{\eta}{\sqrt{\sum_{s \le t} g_s^2}} \, g_t.$$
#
# So the momentum exists only if SGD was chosen. Such a space is called *conditional*: a choice between two dicts, of which
# one has an entry more. Every hyperparameter has a name, by which hyperopt tells them apart.

# %%
# >>> your turn: a choice named "optimizer" between {"name": "sgd", "momentum": ...} and {"name": "adagrad"};
#     the momentum is hp.uniform("momentum", 0, 0.95)
optimizer = hp.choice(
    "optimizer",
    [{"name": "sgd", "momentum": hp.uniform("momentum", 0, 0.95)}, {"name": "adagrad"}],
)
# <<<
space = {
    "learning_rate": hp.loguniform("learning_rate", np.log(0.001), np.log(1.0)),
    "batch_size": hp.choice("batch_size", [10, 20, 50, 100]),
    "optimizer": optimizer,
}

# %% [markdown]
# ## The algorithm and the storage
#
# The algorithm is TPE, the *tree-structured Parzen estimator*. It sorts the trials it has seen into the good ones and the
# others, estimates how dense either are around a point, $l(x)$ and $g(x)$, and proposes points where $l(x) / g(x)$ is large:
# where good ones are frequent and bad ones rare. The storage is a `Trials` object, which remembers every trial.

# %%
trials = Trials()
best = fmin(
    loss,
    space,
    algo=tpe.suggest,
    max_evals=20,
    trials=trials,
    rstate=np.random.default_rng(0),
    show_progressbar=False,
)
print(f"best accuracy of 20 trials  {1 - min(trials.losses()):.4f}")

# %% [markdown]
# Each point below is a trial. Those of Adagrad have no momentum, and hyperopt does not count one against them.


# %%
def configuration(trial):
    """The configuration of one of hyperopt's trials, which keeps a list of one value, or of none, for each name."""
    values = trial["misc"]["vals"]
    return space_eval(space, {name: value[0] for name, value in values.items() if value})


records = [configuration(trial) for trial in trials.trials]
figure = workshop.figure("Twenty trials of hyperopt", x="learning rate", y="accuracy", log_x=True)
for name, label in (("sgd", "SGD with momentum"), ("adagrad", "Adagrad")):
    chosen = [i for i, record in enumerate(records) if record["optimizer"]["name"] == name]
    figure.add_scatter(
        x=[records[i]["learning_rate"] for i in chosen],
        y=[1 - trials.losses()[i] for i in chosen],
        text=[f"trial {i}: {records[i]}" for i in chosen],
        mode="markers",
        marker={"size": 10},
        name=label,
    )
workshop.show(figure, "lab_03_trials")

# %% [markdown]
# ## The trap
#
# Look at what `fmin` has returned:

# %%
print(f"fmin returns  {best}")

# %% [markdown]
# A batch size of 0, 1, 2 or 3? No: for an `hp.choice`, hyperopt returns the **index** of the choice, not the value. Many a
# programmer has trained the final model with batch size 1, and wondered. `space_eval` translates:

# %%
# >>> your turn: space_eval(space, best) puts the values where the indices were
config = space_eval(space, best)
# <<<
print(f"the configuration  {config}")
assert config["batch_size"] in (10, 20, 50, 100), "that is still an index; space_eval(space, best) translates it"

# %% [markdown]
# ## Can we trust the number?
#
# Train once more with the best configuration. The network starts from the same random weights and sees the pictures in the
# same order (both come from a fixed seed), so the accuracy must be *exactly* the one that the search saw. If it is not,
# the configuration you are about to use is not the one that won.

# %%
# >>> your turn: the loss of a new training with config
again = loss(config)["loss"]
# <<<
print(f"loss in the search   {min(trials.losses())!r}")
print(f"loss trained again   {again!r}")

# %% [markdown]
# ## What would a grid have found?
#
# Sixteen runs: the grid of lab 00, SGD without momentum.

# %%
sgd = {"name": "sgd", "momentum": 0.0}
corners = itertools.product([0.001, 0.01, 0.1, 2.0], [10, 20, 50, 100])
grid = [accuracy({"learning_rate": rate, "batch_size": size, "optimizer": sgd}) for rate, size in corners]
print(f"best of a grid of 16   {max(grid):.4f}")
print(f"best of 20 by hyperopt  {1 - min(trials.losses()):.4f}")

# %% [markdown]
# ## The same on a cluster
#
# `fmin` trains one network after the other, here. raytune_hpo takes the same space as it is, and the trials run on all
# CPUs of the cluster that the first cell connected to. Every result is written down in a journal, so the storage survives
# whatever happens to this process. And the objective always gets values, never an index.


# %%
def objective(config):
    """Runs in a worker process, anywhere on the cluster."""
    return {"accuracy": accuracy(config)}


found = {}
samplers = ("hyperopt", "tpe")  # hyperopt's own TPE, and that of raytune_hpo
for sampler in workshop.size(samplers, quick=("hyperopt",)):
    found[sampler] = hpo.tune(
        objective,
        space,
        metric="accuracy",
        mode="max",
        sampler=sampler,
        num_trials=20,
        seed=0,
        progress=False,
    )
    print(f"best of 20 on the cluster, {sampler:8}  {found[sampler].best_value:.4f}")
    print(f"  with {found[sampler].best_config}")

# %%
results = found["hyperopt"]
workshop.show(results.plot.history(), "lab_03_on_ray")
print(results)

# %% [markdown]
# And again, in this process: what a worker has computed somewhere on the cluster, to the last digit.

# %%
retrained = accuracy(results.best_config)
print(f"accuracy on the cluster   {results.best_value!r}")
print(f"accuracy trained here     {retrained!r}")

# %% [markdown]
# ## What to take with you
#
# * Objective, space, algorithm, storage: whichever library you use, a search has these four.
# * A conditional space says that some hyperparameters exist only with others. A grid cannot, without wasting runs.
# * Look at what `fmin` returns before you use it, and train once more: the value must come out the same.
#
# **To try.** Let hyperopt make 40 trials instead of 20: call `fmin` again with the same `trials` and `max_evals=40`. And
# take the fixed seed out of `network.train` (give it a random one): how much does the accuracy of the best configuration
# vary, and what does that say about a difference of 0.002 between two of them?

# %%
# What this lab says, checked:
assert abs(smallest["x"]) < 1, "fmin finds the smallest square"
assert best["batch_size"] in range(4), "fmin returns an index"
tried = [record["optimizer"] for record in records]
assert {optimizer["name"] for optimizer in tried} == {"sgd", "adagrad"}, "both branches were tried"
assert all(("momentum" in o) == (o["name"] == "sgd") for o in tried), "only SGD has a momentum"
assert again == min(trials.losses()), "training again reproduces the value exactly"
assert retrained == results.best_value, "also a value that another process has computed"
assert 1 - min(trials.losses()) >= max(grid) - 0.01, "20 trials are as good as a grid of 16"
assert config["batch_size"] in (10, 20, 50, 100), "space_eval gives values"
assert results.best_config["batch_size"] in (10, 20, 50, 100), "and raytune_hpo too"
