"""cluster.yaml is what `ray up` accepts, as it stands and with its on-premise variant."""

import re
from pathlib import Path

import pytest
import yaml

TEXT = (Path(__file__).resolve().parent.parent / "cluster.yaml").read_text(encoding="utf-8")
REPLACED = ("max_workers", "provider", "auth", "available_node_types", "head_node_type", "head_setup_commands")


def aws():
    return yaml.safe_load(TEXT)


def local():
    """The file with the commented keys in place of those that it names."""
    _, _, below = TEXT.partition("On machines of your own")
    assert all(f"`{key}`" in below for key in REPLACED), "the comment says what the variant stands for"
    commented = re.sub(r"^# ?", "", below.partition("\n#\n")[2], flags=re.MULTILINE)
    kept = {key: value for key, value in aws().items() if key not in REPLACED}
    return {**kept, **yaml.safe_load(commented)}


@pytest.mark.parametrize("config", [aws(), local()], ids=["aws", "local"])
def test_ray_up_accepts_the_cluster(config):
    util = pytest.importorskip("ray.autoscaler._private.util")
    prepared = util.prepare_config(config)
    util.validate_config(prepared)
    assert prepared["setup_commands"], "the package is installed on every node"


def test_the_cluster_grows_from_nothing():
    util = pytest.importorskip("ray.autoscaler._private.util")
    types = util.prepare_config(aws())["available_node_types"]
    assert types["worker"]["min_workers"] == 0
    assert types["worker"]["max_workers"] == aws()["max_workers"]


def test_the_local_variant_knows_its_machines():
    assert len(local()["provider"]["worker_ips"]) == local()["min_workers"]
