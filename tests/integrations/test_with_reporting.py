"""What a reporter makes of a library's metrics, whatever library it is."""

from __future__ import annotations

import importlib.machinery
import sys
import types
from types import SimpleNamespace

import pytest

from raytune_hpo.errors import SpecError
from raytune_hpo.integrations import keras, lightning
from raytune_hpo.integrations.reporting import Reporting
from tests.integrations.neighbours import run_trial

GIVEN = {"loss": 0.5, "val_loss": 0.75}


@pytest.mark.parametrize(
    ("metrics", "reported"),
    [
        (None, GIVEN),
        ("val_loss", {"val_loss": 0.75}),
        (["loss"], {"loss": 0.5}),
        ({"loss": "val_loss", "train": "loss"}, {"loss": 0.75, "train": 0.5}),
    ],
)
def test_metrics_are_chosen_and_renamed(metrics, reported):
    _, reports = run_trial(lambda config: Reporting(metrics)(1, GIVEN))
    assert reports == [(1, reported)]


def test_a_training_that_evaluates_nothing_is_told_so():
    ended, _ = run_trial(lambda config: Reporting(None)(1, {}))
    assert "a reporter needs any metric from the training, which gives none; have it evaluated" in ended.error


@pytest.mark.parametrize("every", [0, -1, 1.5, True])
def test_every_is_a_whole_number(every):
    with pytest.raises(SpecError, match="every is a whole number of at least 1"):
        Reporting(None, every)


class Tensor:
    """A number as torch has it: ``size`` is a method there."""

    shape = ()

    def size(self):
        return self.shape

    def item(self):
        return 0.25


def test_tensors_of_one_element_are_numbers():
    _, reports = run_trial(lambda config: Reporting(None)(1, {"loss": Tensor()}))
    assert reports == [(1, {"loss": 0.25})]


def stand_in(monkeypatch, package, module):
    """A library that has a class ``Callback``, whose model is not known yet, and nothing else."""
    for name in (package, module):
        made = types.ModuleType(name)
        made.__spec__ = importlib.machinery.ModuleSpec(name, None, is_package=True)
        monkeypatch.setitem(sys.modules, name, made)
    sys.modules[module].Callback = type("Callback", (), {"model": None})


def test_epochs_of_keras_are_counted_from_one(monkeypatch):
    stand_in(monkeypatch, "keras", "keras.callbacks")

    def objective(config):
        reporter = keras.reporter({"loss": "val_loss"}, every=2)
        for epoch in range(4):
            reporter.on_epoch_end(epoch, GIVEN)

    assert run_trial(objective)[1] == [(2, {"loss": 0.75}), (4, {"loss": 0.75})]


def test_epochs_of_lightning_without_their_validation_are_not_reported(monkeypatch):
    stand_in(monkeypatch, "lightning", "lightning.pytorch")

    def objective(config):
        reporter = lightning.reporter()
        for epoch in range(3):
            trainer = SimpleNamespace(
                sanity_checking=False,
                enable_validation=True,
                current_epoch=epoch,
                callback_metrics={"loss": 1 / (epoch + 1)},
            )
            if epoch != 1:
                reporter.on_validation_end(trainer, None)
            reporter.on_train_epoch_end(trainer, None)

    assert [step for step, _ in run_trial(objective)[1]] == [1, 3]


def test_outside_a_trial_nothing_is_asked_of_the_training():
    Reporting({"loss": "val_loss"})(1, {})
    Reporting(None)(1, {})


@pytest.mark.parametrize("metrics", [3, lambda: 1, [], {"auc": ["a"]}, {"auc": 1}])
def test_metrics_are_names(metrics):
    with pytest.raises(SpecError, match="metrics are names like"):
        Reporting(metrics)


def test_saving_is_a_function():
    with pytest.raises(SpecError, match="save is a function of what is trained and a folder, got 'm.txt'"):
        Reporting(None, save="m.txt")


def test_a_trial_that_trains_several_models_is_told_what_to_do():
    def objective(config):
        for _ in range(2):
            reporting = Reporting(None)
            for step in (1, 2):
                reporting(step, GIVEN)

    ended, reports = run_trial(objective)
    assert ended.status == "failed" and len(reports) == 2
    assert "a training reports step 1 after step 2 of the same trial" in ended.error
    assert "initial_epoch=" in ended.error and "report their mean with hpo.report" in ended.error


def test_a_training_that_is_shorter_than_every_is_told_so():
    def objective(config):
        reporting = Reporting(None, every=10)
        for step in range(1, 7):
            reporting(step, GIVEN)

    ended, _ = run_trial(objective)
    assert "its reporter has every=10, and none of the 6 steps that it could report" in ended.error


@pytest.mark.parametrize(("module", "package"), [(keras, "keras"), (lightning, "lightning")])
def test_a_library_that_is_not_installed_is_named(monkeypatch, module, package):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr(lightning, "_PACKAGES", ("not_loaded.pytorch", "lightning.pytorch"))
    for name in ("keras", "lightning", "lightning.pytorch"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    with pytest.raises(ModuleNotFoundError, match=f"this needs the package {package}: pip install {package}"):
        module.reporter()
