"""The Kubernetes manifests are what KubeRay and Kubernetes accept, and fit together."""

from __future__ import annotations

import copy
import re
import shlex
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml
from kubernetes_validate.utils import schema_contents
from referencing import Registry, Resource

from raytune_hpo.cli.service import serve

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
KUBERNETES = "1.33.0"
MANIFESTS = sorted(
    path.relative_to(DEPLOY) for folder in ("kuberay", "kubernetes") for path in (DEPLOY / folder).iterdir()
)


def objects(name: str | Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((DEPLOY / name).read_text(encoding="utf-8")))


def only(name: str, kind: str) -> dict[str, Any]:
    [found] = [thing for thing in objects(name) if thing["kind"] == kind]
    return found


CLUSTER = only("kuberay/raycluster.yaml", "RayCluster")
JOB = only("kuberay/rayjob.yaml", "RayJob")
POSTGRESQL = only("kuberay/postgresql.yaml", "StatefulSet")
SERVE = only("kuberay/serve.yaml", "Deployment")


@cache
def kuberay(kind: str) -> jsonschema.Draft202012Validator:
    """KubeRay's fields, with Kubernetes' own definitions where they refer to them."""
    kubernetes = schema_contents(f"kubernetes-json-schema/v{KUBERNETES}-local-strict/_definitions.json", KUBERNETES)
    text = (Path(__file__).parent / "kuberay.yaml").read_text(encoding="utf-8")
    fields = yaml.safe_load(text.replace('"k8s:', f'"{kubernetes["$id"]}#/$defs/'))
    registry = Resource.from_contents(kubernetes) @ Registry()
    return jsonschema.Draft202012Validator({**fields, **fields["$defs"][kind]}, registry=registry)


def validate(thing: dict[str, Any]) -> None:
    if thing["apiVersion"].startswith("ray.io/"):
        kuberay(thing["kind"]).validate(thing)
    else:
        kubernetes_validate.validate(thing, KUBERNETES, strict=True)


@pytest.mark.parametrize("name", MANIFESTS, ids=str)
def test_every_manifest_is_accepted(name: Path) -> None:
    things = objects(name)
    assert things
    for thing in things:
        validate(thing)


def container(thing: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = thing["template"]["spec"]["containers"][0]
    return found


def head(spec: dict[str, Any]) -> dict[str, Any]:
    return spec["headGroupSpec"]


def group(spec: dict[str, Any]) -> dict[str, Any]:
    return spec["workerGroupSpecs"][0]


MISTAKES: dict[str, tuple[dict[str, Any], Callable[[dict[str, Any]], Any]]] = {
    "a word that KubeRay does not know": (CLUSTER, lambda spec: spec.update(autoscaling=True)),
    "a flag that is a word": (CLUSTER, lambda spec: spec.update(enableInTreeAutoscaling="yes")),
    "a mode that does not exist": (CLUSTER, lambda spec: spec["authOptions"].update(mode="password")),
    "a number where Ray wants words": (CLUSTER, lambda spec: head(spec)["rayStartParams"].update({"num-cpus": 0})),
    "no head": (CLUSTER, lambda spec: spec.pop("headGroupSpec")),
    "a group without a name": (CLUSTER, lambda spec: group(spec).pop("groupName")),
    "a container's misspelt field": (CLUSTER, lambda spec: container(head(spec)).update(img="x")),
    "a variable without a name": (CLUSTER, lambda spec: container(head(spec))["env"][0].pop("name")),
    "a job without a command": (JOB, lambda spec: spec.pop("entrypoint")),
    "a mistake in the job's cluster": (JOB, lambda spec: group(spec["rayClusterSpec"]).update(maxReplicas="8")),
    "a misspelt claim": (POSTGRESQL, lambda spec: spec.update(volumeClaims=spec.pop("volumeClaimTemplates"))),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_refused(mistake: str) -> None:
    right, wrongly = MISTAKES[mistake]
    wrong = copy.deepcopy(right)
    wrongly(wrong["spec"])
    with pytest.raises(jsonschema.ValidationError):
        validate(wrong)


def test_the_cluster_grows_from_nothing_beside_a_head_that_runs_no_trials() -> None:
    spec = CLUSTER["spec"]
    assert spec["enableInTreeAutoscaling"]
    assert spec["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    [group] = spec["workerGroupSpecs"]
    assert (group["minReplicas"], group["replicas"]) == (0, 0) and group["maxReplicas"] > 0


def test_a_job_brings_the_cluster_that_stays_elsewhere() -> None:
    named = copy.deepcopy(CLUSTER["spec"])
    assert named["headGroupSpec"].pop("headService")["metadata"]["name"] == "ray-head", "RAY_HEAD_SERVICE_HOST"
    assert JOB["spec"]["rayClusterSpec"] == named


def test_another_attempt_of_a_job_continues_the_study() -> None:
    """A fixed name in a journal that outlives the pod: the same call, again."""
    [alone] = [thing for thing in objects("kubernetes/job.yaml") if thing["kind"] == "Job"]
    for command in (shlex.split(JOB["spec"]["entrypoint"]), container(alone["spec"])["command"]):
        assert command[command.index("--name") + 1] == "select-model"
        assert (ROOT / re.sub("^/home/ray/", "", command[1])).is_file()
    assert JOB["spec"]["backoffLimit"] > 0 and alone["spec"]["backoffLimit"] > 0


def values(thing: Any, key: str) -> Iterator[Any]:
    """Whatever stands under a key, at any depth."""
    if isinstance(thing, dict):
        for name, value in thing.items():
            if name == key:
                yield value
            yield from values(value, key)
    elif isinstance(thing, list):
        for value in thing:
            yield from values(value, key)


def test_the_journal_is_where_the_secret_leads() -> None:
    """The comment's command makes the Secret whose keys the manifests read, with a URL that leads to the database."""
    comment = (DEPLOY / "kuberay/postgresql.yaml").read_text(encoding="utf-8").partition("apiVersion")[0]
    [name] = re.findall(r"create secret generic (\S+)", comment)
    made = dict(re.findall(r'--from-literal=(\w+)="([^"]*)"', comment))
    read = [ref for thing in (CLUSTER, JOB, POSTGRESQL, SERVE) for ref in values(thing, "secretKeyRef")]
    own = {(ref["name"], ref["key"]) for ref in read} - {(CLUSTER["metadata"]["name"], "auth_token")}
    assert own == {(name, key) for key in made}
    service = only("kuberay/postgresql.yaml", "Service")
    names = {env["name"]: env.get("value") for env in container(POSTGRESQL["spec"])["env"]}
    assert made["url"] == (
        f"postgresql://{names['POSTGRES_USER']}:$PASSWORD@{service['metadata']['name']}/{names['POSTGRES_DB']}"
    )
    assert service["spec"]["selector"] == POSTGRESQL["spec"]["template"]["metadata"]["labels"]


@pytest.mark.parametrize("name", MANIFESTS, ids=str)
def test_no_pod_runs_as_root_or_without_bounds(name: Path) -> None:
    pods = [pod for pod in values(objects(name), "spec") if "containers" in pod]
    assert pods
    for pod in pods:
        assert pod["securityContext"]["runAsNonRoot"]
        for each in pod["containers"]:
            assert each["securityContext"]["allowPrivilegeEscalation"] is False
            assert set(each["resources"]["requests"]) == {"cpu", "memory"} and "memory" in each["resources"]["limits"]


def test_what_is_mounted_is_there() -> None:
    for name in MANIFESTS:
        for pod in (pod for pod in values(objects(name), "spec") if "containers" in pod):
            there = {volume["name"] for volume in pod.get("volumes", ())}
            there |= {
                claim["metadata"]["name"]
                for claims in values(objects(name), "volumeClaimTemplates")
                for claim in claims
            }
            assert {mount["name"] for mounts in values(pod, "volumeMounts") for mount in mounts} <= there


def test_images_are_those_that_the_dockerfile_makes() -> None:
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    [ours] = re.findall(r"docker build .* -t (\S+) ", text)
    images = {image for name in MANIFESTS for image in values(objects(name), "image")}
    assert images == {ours, "postgres:17-bookworm"}
    [ray] = re.findall(r"^ARG RAY=(\S+)$", text, re.MULTILINE)
    assert {CLUSTER["spec"]["rayVersion"], JOB["spec"]["rayClusterSpec"]["rayVersion"]} == {ray}


@pytest.mark.parametrize("name", ["kubernetes/serve.yaml", "kuberay/serve.yaml"])
def test_the_service_answers_to_the_name_that_its_pods_are_reached_by(name: str) -> None:
    """It is started by a command that there is, and asked by a Host that it answers to, its probes included."""
    service, deployment = only(name, "Service"), only(name, "Deployment")
    each = container(deployment["spec"])
    command = [word for part in each["command"] for word in part.split("=", 1)]
    options = {flag for parameter in serve.params for flag in parameter.opts}
    assert command[:2] == ["raytune-hpo", "serve"]
    assert {word for word in command if word.startswith("--")} <= options
    host = command[command.index("--allowed-host") + 1]
    assert host == service["metadata"]["name"]
    assert {header["value"] for headers in values(each, "httpHeaders") for header in headers} == {host}
    assert service["spec"]["selector"] == deployment["spec"]["template"]["metadata"]["labels"]
    assert (deployment["spec"]["replicas"], deployment["spec"]["strategy"]["type"]) == (1, "Recreate")
    [port] = service["spec"]["ports"]
    assert {port["port"], each["ports"][0]["containerPort"]} == {8270}


def test_the_service_beside_a_cluster_finds_its_head() -> None:
    [address] = [word for word in container(SERVE["spec"])["command"] if word.startswith("--address")]
    head_service = head(CLUSTER["spec"])["headService"]["metadata"]["name"]
    assert address == f"--address=ray://{head_service}:10001"
