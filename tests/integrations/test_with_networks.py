"""Keras and PyTorch Lightning report every epoch and end cleanly when they are stopped. Run where they are installed."""

from __future__ import annotations

import importlib.util
import os

import numpy as np
import pytest

from raytune_hpo.integrations.keras import reporter as keras_reporter
from raytune_hpo.integrations.lightning import reporter as lightning_reporter
from tests.integrations.neighbours import run_trial, set_aside

pytest.importorskip("torch", reason='needs pip install ".[integrations]"')
os.environ.setdefault("KERAS_BACKEND", "torch")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(64, 3)).astype("float32")
Y = (X @ np.array([1.0, -2.0, 0.5], dtype="float32"))[:, None]


class Log(list):
    """What a training went through, told by callbacks of its own."""


def train_keras(callbacks, epochs=4, log=None):
    keras = pytest.importorskip("keras")
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile(optimizer="sgd", loss="mse")
    if log is not None:
        callbacks = [
            *callbacks,
            keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: log.append(logs["val_loss"])),
        ]
    model.fit(X[:48], Y[:48], epochs=epochs, validation_data=(X[48:], Y[48:]), callbacks=callbacks, verbose=0)
    return model


def make_lightning(package):
    if importlib.util.find_spec(package.partition(".")[0]) is None:
        pytest.skip(f"needs {package}")
    pl = pytest.importorskip(package)
    import torch

    torch.set_num_threads(1)

    class Net(pl.LightningModule):
        def __init__(self, log):
            super().__init__()
            self.layer, self.heard = torch.nn.Linear(3, 1), log

        def training_step(self, batch, index):
            loss = torch.nn.functional.mse_loss(self.layer(batch[0]), batch[1])
            self.log("train_loss", loss, on_epoch=True, on_step=False)
            return loss

        def validation_step(self, batch, index):
            self.log("val_loss", torch.nn.functional.mse_loss(self.layer(batch[0]), batch[1]))

        def on_validation_epoch_end(self):
            if not self.trainer.sanity_checking:
                self.heard.append(float(self.trainer.callback_metrics["val_loss"]))

        def teardown(self, stage):
            self.heard.append("teardown")

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.01)

    return pl, Net


def loaders():
    import torch
    from torch.utils.data import DataLoader, TensorDataset

    data = TensorDataset(torch.tensor(X), torch.tensor(Y))
    return DataLoader(data, batch_size=16), DataLoader(data, batch_size=64)


def train_lightning(package, callbacks, epochs=4, log=None, valid=True, ckpt_path=None, **settings):
    pl, net = make_lightning(package)
    pl.seed_everything(0, verbose=False)
    quiet = dict(logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False)
    trainer = pl.Trainer(max_epochs=epochs, accelerator="cpu", callbacks=callbacks, **quiet, **settings)
    model = net([] if log is None else log)
    train, validation = loaders()
    trainer.fit(model, train, validation if valid else None, ckpt_path=ckpt_path)
    return trainer


# ------------------------------------------------------------------------------------------------ Keras


def test_keras_reports_every_epoch():
    curve = []
    train_keras([], log=curve)
    ended, reports = run_trial(lambda config: train_keras([keras_reporter({"loss": "val_loss"})]) and None)
    assert reports == [(epoch, {"loss": pytest.approx(value)}) for epoch, value in enumerate(curve, 1)]
    assert ended.status == "completed", ended.error


def test_keras_ends_at_once_when_its_trial_is_stopped_and_trains_again():
    log = []
    ended, reports = run_trial(lambda config: train_keras([keras_reporter()], 100, log=log), stop_at=2)
    assert ended.status == "pruned" and len(reports) == 2 and len(log) <= 2
    assert {"loss", "val_loss"} <= reports[0][1].keys()
    _, again = run_trial(lambda config: train_keras([keras_reporter()]) and None)
    assert len(again) == 4 and again[0] == reports[0]


def test_keras_names_what_it_gives():
    ended, _ = run_trial(lambda config: train_keras([keras_reporter({"loss": "val_los"})]))
    assert ended.status == "failed" and "'val_los'" in ended.error and "'val_loss'" in ended.error


def test_keras_is_set_aside_and_goes_on():
    keras = pytest.importorskip("keras")
    curve = []

    def fit(callbacks, done=0, saved=None):
        keras.utils.set_random_seed(0)
        optimizer = keras.optimizers.SGD(0.01, momentum=0.9)  # without what it remembers, it goes another way
        model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
        model.compile(optimizer=optimizer, loss="mse")
        if saved:
            model = keras.models.load_model(saved.path / "model.keras")
        settings = {"epochs": 9, "initial_epoch": done, "validation_data": (X[48:], Y[48:]), "batch_size": 48}
        model.fit(X[:48], Y[:48], callbacks=callbacks, verbose=0, **settings)

    fit([keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: curve.append(logs["val_loss"]))])
    reporting = keras_reporter({"value": "val_loss"}, save=lambda model, folder: model.save(folder / "model.keras"))
    path = set_aside(lambda done, saved: fit([reporting], done, saved), curve)
    assert keras.models.load_model(path / "model.keras").evaluate(X[48:], Y[48:], verbose=0) == pytest.approx(curve[-1])


# ------------------------------------------------------------------------------------------------ Lightning

PACKAGES = pytest.mark.parametrize("package", ["lightning.pytorch", "pytorch_lightning"])


@pytest.fixture(autouse=True)
def _only_this_package_is_loaded(request, monkeypatch):
    """The reporter takes the package that the program has imported; of two it would take the first."""
    if "package" in request.fixturenames:
        package = request.getfixturevalue("package")
        monkeypatch.setattr("raytune_hpo.integrations.lightning._PACKAGES", (package,))


@PACKAGES
def test_lightning_reports_every_epoch_training_and_validation(package):
    log = []
    objective = lambda config: train_lightning(package, [lightning_reporter()], log=log) and None  # noqa: E731
    ended, reports = run_trial(objective, metric="val_loss")
    assert ended.status == "completed", ended.error
    assert [step for step, _ in reports] == [1, 2, 3, 4]
    assert [values["val_loss"] for _, values in reports] == pytest.approx(log[:4])
    assert all("train_loss" in values for _, values in reports)


@PACKAGES
def test_lightning_is_torn_down_when_its_trial_is_stopped(package):
    log = []
    callbacks = [lightning_reporter({"loss": "val_loss"})]
    ended, reports = run_trial(lambda config: train_lightning(package, callbacks, 100, log=log), stop_at=2)
    assert ended.status == "pruned" and [step for step, _ in reports] == [1, 2]
    assert len(log) in (2, 3), "it stopped at once"
    _, again = run_trial(lambda config: train_lightning(package, [lightning_reporter({"loss": "val_loss"})]) and None)
    assert again[:2] == [(step, {"loss": pytest.approx(values["loss"])}) for step, values in reports]


def test_lightning_without_validation_and_with_one_now_and_then():
    package = "lightning.pytorch"
    run = lambda **settings: run_trial(  # noqa: E731
        lambda config: train_lightning(package, [lightning_reporter()], **settings) and None, metric="train_loss"
    )[1]
    assert [sorted(values) for _, values in run(valid=False)] == [["train_loss"]] * 4
    assert [step for step, _ in run(check_val_every_n_epoch=2)] == [2, 4]


def test_lightning_is_set_aside_and_goes_on():
    package, log = "lightning.pytorch", []
    make_lightning(package)
    train_lightning(package, [], 9, log=log)

    def after(done, saved):
        callbacks = [
            lightning_reporter({"value": "val_loss"}, save=lambda tr, to: tr.save_checkpoint(to / "last.ckpt"))
        ]
        train_lightning(package, callbacks, 9, ckpt_path=saved.path / "last.ckpt" if saved else None)

    set_aside(after, log[:9])
