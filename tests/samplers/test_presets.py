"""The optimisers of the literature by name."""

import pytest

from raytune_hpo import registry, testing
from raytune_hpo.errors import SpecError
from raytune_hpo.samplers.presets import MODES, preset
from raytune_hpo.space import Float, Space


def test_every_mode_with_each_of_its_specs_is_a_sampler_that_suggests():
    space = Space({"x": Float(0, 1)})
    for mode, (specs, _) in MODES.items():
        for spec in specs or (None,):
            wanted = preset(mode, spec)
            if str(spec).endswith("T") and "HEDGE" in str(spec):
                wanted["truth"] = len
            loop = testing.Loop.of(lambda made=wanted: registry.make("sampler", made), space)
            assert loop.ask() is not None, (mode, spec)


def test_what_is_not_said_is_the_usual():
    assert preset("GP") == preset("GP", "EI")
    assert preset("DIV")["strategy"] == "SEQ"
    assert preset("BATCH")["strategy"] == "ASYNC"
    assert (preset("GP")["marginalize"], preset("GP-NM")["marginalize"]) == ("slice", "none")
    assert preset("RF-ALE", "PI")["transform"] == "hybrid_log_error"


@pytest.mark.parametrize(
    "mode, spec, said",
    [("GPP", None, "unknown mode 'GPP'"), ("GP", "EII", "did you mean 'EI'"), ("RANDOM", "EI", "leave it out")],
)
def test_what_there_is_not_is_refused(mode, spec, said):
    with pytest.raises(SpecError, match=said):
        preset(mode, spec)
