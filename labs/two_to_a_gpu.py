# %% [markdown]
# # Two trainings to a GPU
#
# The networks of the other labs are a page of numpy. This lab tunes one as people write them today: a convolutional
# network in PyTorch, with its optimizer, its checkpoints and, where there is one, a GPU. A small network leaves most of
# a GPU idle, so two trainings share it: each asks for half.
#
# This lab needs PyTorch, `pip install torch`; it runs on CPUs too. In a terminal: `python labs/two_to_a_gpu.py`; on a
# cluster: `ray submit cluster.yaml` and the same file, where every node has PyTorch.

# %%
import os
import tempfile
from pathlib import Path

import numpy as np
import ray
import torch
from torch import nn

import raytune_hpo as hpo
from raytune_hpo import workshop
from raytune_hpo.workshop import network

hpo.connect()  # Ray on this machine, or RAY_ADDRESS, or RAY_HEAD_SERVICE_HOST and _PORT

# %% [markdown]
# ## A convolutional network
#
# A convolution slides a window of 3 x 3 pixels over the picture and computes one number at each place; `channels` of them
# look for different things. Pooling keeps the largest number of each 2 x 2 square, which halves height and width. After
# two rounds of this, a linear layer weighs what was found, and gives one score for each digit.

# %%
SIZE = 8  # pixels, in both directions


class CNN(nn.Module):
    def __init__(self, channels, dropout):
        super().__init__()
        # >>> your turn: how many numbers there are after two poolings; the second round has 2 * channels of them per place
        features = 2 * channels * (SIZE // 4) ** 2
        # <<<
        self.layers = nn.Sequential(
            nn.Conv2d(1, channels, kernel_size=3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(channels, 2 * channels, kernel_size=3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Dropout(dropout),
            nn.Linear(features, 10),
        )

    def forward(self, pictures):
        return self.layers(pictures)


X, y, X_valid, y_valid = network.digits()
X, X_valid = (pixels.reshape(-1, 1, SIZE, SIZE).astype(np.float32) for pixels in (X, X_valid))
with torch.no_grad():
    scores = CNN(channels=4, dropout=0.0)(torch.tensor(X[:5]))
assert scores.shape == (5, 10), "five pictures should get ten scores each"
print(f"pictures to train on  {len(X)}")
print(f"pictures to judge by  {len(X_valid)}")

# %% [markdown]
# ## What a checkpoint must hold
#
# Weights are not all of a training. The optimizer remembers how each weight has moved, and a training that goes on
# without this memory takes other steps. Dropout draws at random, and so does the order of the pictures: here both depend
# on the epoch alone, so that nothing has to be remembered for them.


# %%
def save(folder, net, optimizer):
    torch.save({"net": net.state_dict(), "optimizer": optimizer.state_dict()}, folder / "training.pt")


def load(folder, net, optimizer=None, device="cpu"):
    state = torch.load(folder / "training.pt", map_location=device, weights_only=True)  # tensors, and no code
    net.load_state_dict(state["net"])
    if optimizer is not None:
        # >>> your turn: give the optimizer its memory back, too
        optimizer.load_state_dict(state["optimizer"])
        # <<<


def train_epoch(net, optimizer, epoch, pictures, digits, batch):
    torch.manual_seed(epoch)  # decides the order and what drops out
    net.train()
    for rows in torch.randperm(len(pictures)).split(batch):
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(pictures[rows]), digits[rows]).backward()
        optimizer.step()


def accuracy(net, pictures, digits):
    net.eval()
    with torch.no_grad():
        return (net(pictures).argmax(dim=1) == digits).float().mean().item()


twins = []  # one is saved, the other loaded; what was forgotten shows in the next epoch of both
for _ in range(2):
    net = CNN(channels=4, dropout=0.1)
    twins.append((net, torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)))
train_epoch(*twins[0], 1, torch.tensor(X), torch.tensor(y), batch=128)
with tempfile.TemporaryDirectory() as folder:
    save(Path(folder), *twins[0])
    load(Path(folder), *twins[1])
for net, optimizer in twins:
    train_epoch(net, optimizer, 2, torch.tensor(X), torch.tensor(y), batch=128)
weights = [torch.cat([w.flatten() for w in net.parameters()]) for net, _ in twins]
assert torch.allclose(*weights), "what was loaded should go on like what was saved, with the memory of its optimizer"

# %% [markdown]
# ## The objective
#
# It looks for a GPU where it runs, which need not be where this notebook runs. Ray *counts* halves of a GPU and hands out
# no more than two, but it does not watch their memory: the objective itself promises to keep to its half.

# %%
EPOCHS = workshop.size(27, quick=9)


def objective(config, X, y, X_valid, y_valid, dies_after=None):
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda":
        torch.cuda.set_per_process_memory_fraction(0.5)
    X, y, X_valid, y_valid = (torch.tensor(array, device=device) for array in (X, y, X_valid, y_valid))
    torch.manual_seed(0)
    net = CNN(config["channels"], config["dropout"]).to(device)
    optimizer = torch.optim.SGD(
        net.parameters(), lr=config["learning_rate"], momentum=config["momentum"], weight_decay=config["weight_decay"]
    )
    saved, done = hpo.checkpoint(), 0
    if saved is not None:
        load(saved.path, net, optimizer, device)
        done = saved.step
    for epoch in range(done + 1, EPOCHS + 1):
        train_epoch(net, optimizer, epoch, X, y, config["batch"])
        hpo.report(
            accuracy=accuracy(net, X_valid, y_valid),
            began_after=done,
            step=epoch,
            save=lambda folder: save(folder, net, optimizer),
        )
        if epoch == dies_after and done == 0:
            os._exit(1)  # as if somebody had killed it, or its memory had run out


# %% [markdown]
# ## Half a GPU for each
#
# What a trial needs is said once, and Ray sees to it that no more trials run than there is room for. Without a GPU a trial
# asks for a CPU only.

# %%
num_gpus = int(ray.cluster_resources().get("GPU", 0))
# >>> your turn: one CPU and half a GPU, as a dict with the keys "cpu" and "gpu"
shared = {"cpu": 1, "gpu": 0.5}
# <<<
assert shared["cpu"] == 1 and 2 * shared["gpu"] == 1, "a CPU for each trial, and a GPU for two"
resources = shared if num_gpus else {"cpu": shared["cpu"]}
print(f"GPUs that Ray knows of  {num_gpus}")
print(f"a trial asks for        {resources}")

# %% [markdown]
# ## A kill in the middle
#
# One training twice: left alone, and with a process that dies after two thirds of the epochs.

# %%
data = {"X": X, "y": y, "X_valid": X_valid, "y_valid": y_valid}
good = {"channels": 8, "dropout": 0.1, "learning_rate": 0.05, "momentum": 0.9, "weight_decay": 1e-4, "batch": 32}
settings = {"metric": "accuracy", "mode": "max", "storage": "memory", "progress": False, "resources": resources}

undisturbed = hpo.tune(hpo.with_parameters(objective, **data), good, num_trials=1, **settings)
killed = hpo.tune(
    hpo.with_parameters(objective, **data, dies_after=2 * EPOCHS // 3),
    good,
    num_trials=1,
    checkpoint_every_s=0.001,  # after every epoch; in earnest, as many seconds as you can bear to lose
    **settings,
)
print(f"left alone          accuracy {undisturbed.best_value:.4f} in {undisturbed[0].attempt} attempt")
print(f"killed in between   accuracy {killed.best_value:.4f} in {killed[0].attempt} attempts")
print(f"the second attempt began after epoch {killed[0].metrics['began_after']}")

# %% [markdown]
# ## The search
#
# All networks pause after 1, 3 and 9 epochs, and the best third of those that have come so far is promoted. Where one goes
# on is decided by who is free: on another worker, in another process, on the other half of the GPU.

# %%
space = {
    "channels": hpo.lograndint(2, 17),
    "dropout": hpo.uniform(0.0, 0.5),
    "learning_rate": hpo.loguniform(1e-4, 1.0),
    "momentum": hpo.uniform(0.0, 0.99),
    "weight_decay": hpo.loguniform(1e-6, 1e-2),
    "batch": hpo.choice([16, 32, 64, 128]),
}
# >>> your turn: the scheduler asha up to EPOCHS steps, with promote=True, as a dict with a "name"
scheduler = {"name": "asha", "max_steps": EPOCHS, "promote": True}
# <<<
said = {"name": "asha", "max_steps": EPOCHS, "promote": True}
assert said.items() <= scheduler.items(), "scheduler should have a name, asha, and promote trials, up to EPOCHS steps"
results = hpo.tune(
    hpo.with_parameters(objective, **data),
    space,
    scheduler=scheduler,
    sampler="random",
    num_trials=workshop.size(40, quick=12),
    seed=1,
    **settings,
)
epochs = sum(trial.last_step or 0 for trial in results)
print(f"networks            {len(results)}, of which {results.num_by_status['completed']} were trained to the end")
print(f"epochs              {epochs} instead of {len(results) * EPOCHS}")
print(f"best accuracy       {results.best_value:.4f}")
print(f"best configuration  {results.best_config}")

# %%
workshop.show(results.plot.curves(), "two_to_a_gpu_curves")

# %% [markdown]
# ## The trained network
#
# The checkpoint of the best trial is the network: load it, and it reads digits. It was perhaps trained on a GPU of another
# machine; `map_location` brings it here.

# %%
best = results.best_trial
net = CNN(best.config["channels"], best.config["dropout"])
load(best.checkpoint.path, net)
# >>> your turn: the accuracy of this network on X_valid and y_valid, which must become tensors first
again = accuracy(net, torch.tensor(X_valid), torch.tensor(y_valid))
# <<<
print(f"reported {best.metrics['accuracy']:.4f}, and the file says {again:.4f}")

with torch.no_grad():
    read = net(torch.tensor(X_valid)).argmax(dim=1).numpy()
confusion = np.zeros((10, 10), dtype=int)
np.add.at(confusion, (y_valid, read), 1)
np.fill_diagonal(confusion, 0)  # what was read right would outshine the rest
figure = workshop.figure("What is taken for what", x="read as", y="is")
figure.add_heatmap(z=confusion, colorscale="Blues", colorbar={"title": "pictures"})
workshop.show(figure, "two_to_a_gpu_confusion")

# %% [markdown]
# ## What we claim

# %%
tolerance = 0.02 if num_gpus else 1e-6  # a GPU may add up in another order each time
assert killed[0].attempt == 2 and undisturbed[0].attempt == 1, "one training should have died once"
assert killed[0].metrics["began_after"] == 2 * EPOCHS // 3, "and lost no epoch"
assert abs(killed.best_value - undisturbed.best_value) <= tolerance, "it should end as if nothing had happened"
assert epochs < len(results) * EPOCHS / 2, "promotion should save more than half of the epochs"
assert abs(again - best.metrics["accuracy"]) <= tolerance, "the file should hold the network that was reported"
assert results.best_value > 0.8, "a convolutional network should read most digits"

# %% [markdown]
# ## What to take with you
#
# Nothing here is special to tuning: the network, the optimizer and the loop are as they would be without it. Three lines
# make a training that can be set aside, `hpo.checkpoint()`, `hpo.report(..., save=...)` and a `range` that begins later; one
# word, `resources`, puts two of them on a GPU.
#
# Questions to try: what does the killed training become if `load` forgets the optimizer? How many trainings share your GPU
# best, two or four (`"gpu": 0.25`, and a quarter of its memory)? And what does `scheduler="auto"` make of the same budget?
