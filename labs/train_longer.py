# %% [markdown]
# # Train longer only what deserves it
#
# Whoever stops a bad training early saves time, and now and then throws away a good one that began slowly. If trainings
# can be *set aside* instead, nothing is thrown away: what looked bad may go on later, once it turns out that the others
# are worse. This lab writes an objective that can be set aside, kills it in the middle, and then gives five strategies
# the same number of epochs.
#
# In a terminal: `python labs/train_longer.py`; on a cluster: `ray submit cluster.yaml` and the same file.

# %%
import os
import tempfile
from pathlib import Path

import numpy as np

import raytune_hpo as hpo
from raytune_hpo import workshop
from raytune_hpo.workshop import network

hpo.connect()  # Ray on this machine, or RAY_ADDRESS, or RAY_HEAD_SERVICE_HOST and _PORT

# %% [markdown]
# ## A training that can be set aside
#
# A network learns handwritten digits by stochastic gradient descent with momentum. What it is after an epoch is its
# weights and its last moves. If both are saved, and the order of the pictures depends on the epoch alone, then a
# network that goes on from its file is the same, to the last digit, as one that was never set aside.

# %%
X, y, X_valid, y_valid = network.digits()
EPOCHS, BATCH = workshop.size(27, quick=9), 16


def save(folder, weights, moves):
    np.savez(folder / "network.npz", *weights, *moves)


def load(folder):
    with np.load(folder / "network.npz") as arrays:
        both = [arrays[name] for name in arrays.files]
    # >>> your turn: the first half of the list and the second half, as two lists: weights, moves
    return both[: len(both) // 2], both[len(both) // 2 :]
    # <<<


folder = Path(tempfile.mkdtemp())
weights = network.initial(8, np.random.default_rng(0))
save(folder, weights, [-w for w in weights])
found = load(folder)
assert found is not None and [len(part) for part in found] == [4, 4], "load should return two lists of four arrays"
for loaded, saved in zip([*found[0], *found[1]], [*weights, *(-w for w in weights)], strict=True):
    assert np.array_equal(loaded, saved), "what was saved should come back: weights, then moves"


def train_epoch(weights, moves, config, epoch, X, y):
    """One pass over the pictures, in an order of its own; the weights and moves after it."""
    order = np.random.default_rng(epoch).permutation(len(X))
    for begin in range(0, len(X), BATCH):
        rows = order[begin : begin + BATCH]
        with np.errstate(all="ignore"):  # rates that are too high diverge
            slope = network.gradient(weights, X[rows], y[rows])
        moves = [config["momentum"] * v - config["learning_rate"] * g for v, g in zip(moves, slope, strict=True)]
        weights = [w + v for w, v in zip(weights, moves, strict=True)]
    return weights, moves


# %% [markdown]
# Three things make an objective that can go on:
#
# 1. it asks `hpo.checkpoint()` whether there is something to go on from;
# 2. it begins with the epoch after that;
# 3. each report offers to `save`. That is a promise, not a cost: the function is called only where somebody wants the
#    checkpoint.


# %%
def objective(config, X, y, X_valid, y_valid, dies_after=None):
    weights, moves, done = None, None, 0
    saved = hpo.checkpoint()  # None on a fresh start
    if saved is not None:
        weights, moves = load(saved.path)
        # >>> your turn: how many epochs this network has been trained for: saved.step
        done = saved.step
        # <<<
    if weights is None:
        weights = network.initial(config["width"], np.random.default_rng(0))
        moves = [np.zeros_like(w) for w in weights]
    for epoch in range(done + 1, EPOCHS + 1):
        weights, moves = train_epoch(weights, moves, config, epoch, X, y)
        hpo.report(
            accuracy=network.accuracy(weights, X_valid, y_valid),
            began_after=done,
            step=epoch,
            save=lambda folder, weights=weights, moves=moves: save(folder, weights, moves),
        )
        if epoch == dies_after and done == 0:
            os._exit(1)  # the process is gone, as if somebody had killed it


objective_with_data = hpo.with_parameters(objective, X=X, y=y, X_valid=X_valid, y_valid=y_valid)
good = {"learning_rate": 0.05, "momentum": 0.5, "width": 32}

# %% [markdown]
# ## A kill in the middle
#
# The same training twice. One is left alone. The other one's process dies after two thirds of the epochs. With
# `checkpoint_every_s` it has saved after every epoch, so it should lose none.

# %%
settings = {"metric": "accuracy", "mode": "max", "num_trials": 1, "storage": "memory", "progress": False}
undisturbed = hpo.tune(objective_with_data, good, **settings)
killed = hpo.tune(
    hpo.with_parameters(objective, X=X, y=y, X_valid=X_valid, y_valid=y_valid, dies_after=2 * EPOCHS // 3),
    good,
    checkpoint_every_s=0.001,
    **settings,
)
assert killed[0].status == "completed", f"the killed training should have gone on; it says: {killed[0].reason}"
assert killed[0].metrics["began_after"] == 2 * EPOCHS // 3, "it should have begun after the last epoch that was saved"
print(f"left alone          accuracy {undisturbed.best_value:.4f} in {undisturbed[0].attempt} attempt")
print(f"killed in between   accuracy {killed.best_value:.4f} in {killed[0].attempt} attempts")
print(f"the second attempt began after epoch {killed[0].metrics['began_after']}")

# %% [markdown]
# ## Five strategies, one budget
#
# All get the same number of epochs, `num_steps`, however they spread them over networks:
#
# | strategy | what it does with the epochs |
# |---|---|
# | full runs | every network is trained to its end |
# | stopping | `asha`: at epochs 1, 3 and 9, who is not among the best third is stopped |
# | promoting | the same, but all pause there, and the best third of those that have come so far goes on |
# | freeze-thaw | a model of all learning curves says which network goes on, old or new |
# | population | `pbt`: all go on, but bad ones copy the weights of good ones, and settings change on the way |

# %%
space = {
    "learning_rate": hpo.loguniform(1e-4, 1.0),
    "momentum": hpo.uniform(0.0, 0.99),
    "width": hpo.lograndint(8, 65),
}
BUDGET = EPOCHS * workshop.size(12, quick=6)
population = {"name": "pbt", "population": BUDGET // EPOCHS, "interval": EPOCHS // 3, "max_steps": EPOCHS}
stopping = {"name": "asha", "max_steps": EPOCHS}
# >>> your turn: the same with promote=True, so that trials pause at the rungs, and the best are promoted
promoting = {"name": "asha", "max_steps": EPOCHS, "promote": True}
# <<<
assert promoting.get("promote") and not stopping.get("promote"), (
    "only promoting should have promote=True: {**stopping, ...} makes a dict of its own"
)
strategies = {
    "full runs": {"sampler": "random"},
    "stopping": {"sampler": "random", "scheduler": stopping},
    "promoting": {"sampler": "random", "scheduler": promoting},
    "freeze-thaw": {"sampler": {"name": "freeze_thaw", "max_steps": EPOCHS}},
    "population": {"sampler": population},
}
found = {}
for name, strategy in strategies.items():
    found[name] = hpo.tune(
        objective_with_data,
        space,
        metric="accuracy",
        mode="max",
        num_steps=BUDGET,
        seed=1,
        storage="memory",
        progress=False,
        **strategy,
    )


# %%
def epochs_of(results):
    """How many epochs were trained in all; a segment of a population begins where its parent ended."""
    return sum(
        (trial.last_step or 0) - (results[trial.parent].last_step if trial.parent is not None else 0)
        for trial in results
    )


def accuracy_of(results):
    """The best accuracy after the last epoch: what was trained less does not count."""
    return max(
        (t.metrics["accuracy"] for t in results if t.last_step == EPOCHS and t.status == "completed"), default=0.0
    )


print("strategy     networks  trained to the end  epochs  accuracy")
for name, results in found.items():
    to_the_end = sum(trial.last_step == EPOCHS for trial in results)
    begun = sum(trial.parent is None for trial in results)
    print(f"{name:<12} {begun:8}  {to_the_end:18}  {epochs_of(results):6}  {accuracy_of(results):8.4f}")

# %% [markdown]
# How many networks were begun, and how many were trained to the end? Full runs know a few networks well. Stopping and
# promoting have looked at many.
#
# ## Where the epochs went

# %%
figure = workshop.figure("Networks that got at least so many epochs", x="epochs", y="networks", log_x=True, log_y=True)
for name, results in found.items():
    if name == "population":
        continue  # all its members get the same
    reached = [trial.last_step or 0 for trial in results]
    at = range(1, EPOCHS + 1)
    figure.add_scatter(
        x=list(at), y=[sum(r >= epoch for r in reached) or None for epoch in at], mode="lines", name=name
    )
workshop.show(figure, "train_longer_epochs")

# %%
workshop.show(found["promoting"].plot.curves(), "train_longer_promoting")

# %% [markdown]
# ## The family of a winner
#
# A member of a population is a chain: each segment is a trial of its own, which begins with somebody's weights. Whose, is
# its lineage; and since settings change on the way, the winner is not a configuration but a *schedule*.

# %%
best = max((t for t in found["population"] if t.last_step == EPOCHS), key=lambda t: t.metrics["accuracy"])
print("trial  epochs  learning rate  momentum")
for trial in found["population"].lineage(best.number):
    print(
        f"{trial.number:>5}  {trial.last_step:>6}  {trial.config['learning_rate']:13.4f}  {trial.config['momentum']:8.3f}"
    )
workshop.show(found["population"].plot.lineage(), "train_longer_lineage")

# %% [markdown]
# ## The trained network is there
#
# The last checkpoint of the best trial is kept. You need not train again what you have just found.

# %%
trained = found["promoting"].best_trial
weights, _ = load(trained.checkpoint.path)
# >>> your turn: the accuracy of these weights on X_valid and y_valid; network.accuracy computes it
again = network.accuracy(weights, X_valid, y_valid)
# <<<
assert again == trained.metrics["accuracy"], (
    "the same network, on the same pictures, should have the accuracy it reported"
)
print(f"reported {trained.metrics['accuracy']:.4f}, and the file says {again:.4f}")

# %% [markdown]
# ## What we claim

# %%
assert killed[0].attempt == 2 and undisturbed[0].attempt == 1, "one training should have died once"
assert killed.best_value == undisturbed.best_value, "it should end as if nothing had happened"
networks = {name: sum(trial.parent is None for trial in results) for name, results in found.items()}
assert networks["stopping"] > 1.5 * networks["full runs"], "stopping should look at many more networks"
assert networks["promoting"] > 1.5 * networks["full runs"], "and so should promoting"
assert all(epochs_of(results) < BUDGET + 4 * EPOCHS for results in found.values()), "all should have the same budget"

# %% [markdown]
# ## What to take with you
#
# A checkpoint costs a line at the beginning and a word in the report. For that, a crash costs no more than the time since
# the last one, bad networks cost an epoch instead of a full run, and none is lost for good. Which strategy is best
# depends on how early one can tell: if good and bad part late, full runs are hard to beat. `scheduler="auto"` finds out.
#
# Questions to try: what becomes of "stopping" when the first rung stands at epoch 9, `"min_steps": 9`? What do the
# strategies make of three times the budget? And what happens to the network of `good` if `save` leaves out the moves?
