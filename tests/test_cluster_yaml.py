"""cluster.yaml and deploy/on_premise.yaml are what `ray up` accepts, and differ in nothing but their machines."""

from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
# What is about machines; the rest is how the package gets there and how Ray starts.
OF_AWS = {"max_workers", "upscaling_speed", "idle_timeout_minutes", "available_node_types", "head_node_type"}
OF_EACH = {"provider", "auth", "head_setup_commands", "head_start_ray_commands", "worker_start_ray_commands"}


def aws():
    return yaml.safe_load((ROOT / "cluster.yaml").read_text(encoding="utf-8"))


def local():
    return yaml.safe_load((ROOT / "deploy/on_premise.yaml").read_text(encoding="utf-8"))


def prepared(config):
    util = pytest.importorskip("ray.autoscaler._private.util")
    found = util.prepare_config(config)
    util.validate_config(found)
    return found


@pytest.mark.parametrize("config", [aws(), local()], ids=["aws", "local"])
def test_ray_up_accepts_the_cluster(config):
    assert prepared(config)["setup_commands"], "the package is installed on every node"


@pytest.mark.parametrize("config", [aws(), local()], ids=["aws", "local"])
def test_what_is_copied_is_here(config):
    assert [path for path in config["file_mounts"].values() if not (ROOT / path).exists()] == []


def test_both_set_their_nodes_up_alike():
    def common(config):
        return {key: value for key, value in config.items() if key not in OF_AWS | OF_EACH}

    assert common(aws()) == common(local())
    starts = [command.replace("RAY_enable_autoscaler_v2=0 ", "") for command in local()["head_start_ray_commands"]]
    assert starts == aws()["head_start_ray_commands"]


def test_the_cluster_grows_from_nothing():
    types = prepared(aws())["available_node_types"]
    assert types["worker"]["min_workers"] == 0
    assert types["worker"]["max_workers"] == aws()["max_workers"]


def test_the_local_variant_uses_all_its_machines():
    [machines] = prepared(local())["available_node_types"].values()
    assert machines["min_workers"] == machines["max_workers"] == len(local()["provider"]["worker_ips"])
