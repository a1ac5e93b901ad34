"""charts/darkroom-runtime, rendered with Helm's own engine."""

import json
import socket
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import helm_python
import pytest
import yaml
from tests.contract.chart_cases import CASES, QUEUE, released
from tests.contract.charts import CHART, ROOT, WHOLE_CLUSTER, Key, Object, check, one, render

from darkroom_cli.deploy.components import read_components
from darkroom_cli.deploy.schemas import FILES, schema

GOLDEN = Path(__file__).parent / "golden"


@cache
def rendered(case: str, name: str | None = None, namespace: str | None = None) -> dict[Key, Object]:
    values, own_name, own_namespace = released(CASES[case])
    return render(values, name or own_name, namespace or own_namespace)


def pod(objects: dict[Key, Object]) -> Any:
    return one(objects, "Deployment")["spec"]["template"]["spec"]


def containers(objects: dict[Key, Object]) -> dict[str, Any]:
    return {container["name"]: container for container in pod(objects)["containers"]}


@pytest.mark.parametrize("case", CASES)
def test_every_object_is_one_that_kubernetes_takes(case: str) -> None:
    _, name, namespace = released(CASES[case])
    for (kind, object_name), it in rendered(case).items():
        check(it)
        assert len(object_name) <= (253 if kind == "PersistentVolume" else 63)
        assert (None if kind in WHOLE_CLUSTER else namespace) == it["metadata"].get("namespace")
        assert name == it["metadata"]["labels"]["app.kubernetes.io/instance"]
        assert all(len(str(value)) <= 63 for value in it["metadata"]["labels"].values())


@pytest.mark.parametrize("case", CASES)
def test_what_belongs_together_agrees(case: str) -> None:
    objects = rendered(case)
    deployment, spec = one(objects, "Deployment"), pod(objects)
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    selector = deployment["spec"]["selector"]["matchLabels"]
    assert selector.items() <= labels.items()
    assert ("ServiceAccount", spec["serviceAccountName"]) in objects
    claims = [it["persistentVolumeClaim"]["claimName"] for it in spec["volumes"] if "persistentVolumeClaim" in it]
    assert all(("PersistentVolumeClaim", claim) in objects or claim == "mine" for claim in claims)
    maps = [it["configMap"]["name"] for it in spec["volumes"] if "configMap" in it]
    assert all(("ConfigMap", name) in objects for name in maps)
    for kind in ("PodDisruptionBudget", "NetworkPolicy"):
        for it in (it for (kind_, _), it in objects.items() if kind_ == kind):
            assert selector == it["spec"].get("selector", it["spec"].get("podSelector"))["matchLabels"]
    mounts = {mount["name"] for container in spec["containers"] for mount in container["volumeMounts"]}
    assert mounts <= {volume["name"] for volume in spec["volumes"]}


@pytest.mark.parametrize("case", [case for case in CASES if case != "no-karpenter"])
def test_pods_fit_the_nodes_that_are_made_for_them(case: str) -> None:
    objects = rendered(case)
    nodes, spec = one(objects, "NodePool"), pod(objects)
    assert nodes["metadata"]["name"] == spec["nodeSelector"]["karpenter.sh/nodepool"]
    assert (
        one(objects, "EC2NodeClass")["metadata"]["name"]
        == nodes["spec"]["template"]["spec"]["nodeClassRef"]["name"]
    )
    for taint in nodes["spec"]["template"]["spec"]["taints"]:
        assert any(tolerates(toleration, taint) for toleration in spec["tolerations"]), taint


def tolerates(toleration: dict[str, str], taint: dict[str, str]) -> bool:
    return (
        toleration.get("key") == taint["key"]
        and toleration.get("effect") in {None, taint["effect"]}
        and (toleration["operator"] == "Exists" or toleration.get("value") == taint.get("value"))
    )


@pytest.mark.parametrize("case", CASES)
def test_a_pod_that_ends_has_time_for_its_task(case: str) -> None:
    objects = rendered(case)
    environment = one({k: v for k, v in objects.items() if k[1].endswith("-agent")}, "ConfigMap")["data"]
    longest = int(environment["DARKROOM_RUN_TIMEOUT_SECONDS"])
    drain = int(environment["DARKROOM_DRAIN_SECONDS"])
    assert longest < drain < pod(objects)["terminationGracePeriodSeconds"]
    assert "preStop" in containers(objects)["inference-api"]["lifecycle"]


@pytest.mark.parametrize("case", CASES)
def test_both_containers_have_all_probes_and_no_needless_rights(case: str) -> None:
    objects = rendered(case)
    assert {"inference-api", "queue-agent"} == set(containers(objects))
    for container in containers(objects).values():
        assert {"startupProbe", "readinessProbe", "livenessProbe"} <= set(container)
        rights = container["securityContext"]
        assert rights["runAsNonRoot"]
        assert rights["runAsUser"] > 0
        assert not rights["allowPrivilegeEscalation"]
        assert ["ALL"] == rights["capabilities"]["drop"]
        assert {"cpu", "memory"} <= set(container["resources"]["requests"])
    assert containers(objects)["queue-agent"]["securityContext"]["readOnlyRootFilesystem"]
    assert not pod(objects)["automountServiceAccountToken"]


@pytest.mark.parametrize(
    ("case", "asked"),
    [
        ("guide-runtime", {"httpGet": {"path": "/sdapi/v1/memory", "port": "api"}}),
        ("comfyui", {"httpGet": {"path": "/system_stats", "port": "api"}}),
        ("http", {"httpGet": {"path": "/ready", "port": "api"}}),
        ("own-adapter", {"tcpSocket": {"port": "api"}}),
    ],
)
def test_a_runtime_is_asked_in_its_own_words_whether_it_can_work(case: str, asked: dict[str, Any]) -> None:
    runtime = containers(rendered(case))["inference-api"]
    for probe in ("startupProbe", "readinessProbe"):
        assert asked.items() <= runtime[probe].items()


def test_a_runtime_of_ones_own_gets_its_port_and_its_agent_its_adapter() -> None:
    objects = rendered("http")
    runtime = containers(objects)["inference-api"]
    assert "r.example.com/flip:latest" == runtime["image"]
    assert {"name": "PORT", "value": "9000"} in runtime["env"]
    agent = one({k: v for k, v in objects.items() if k[1].endswith("-agent")}, "ConfigMap")["data"]
    assert ("http", "http://127.0.0.1:9000") == (agent["DARKROOM_RUNTIME_TYPE"], agent["DARKROOM_RUNTIME_URL"])


def test_a_stopping_runtime_waits_as_long_as_the_agent_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as health:
        port = health.getsockname()[1]
        values = {"runtime": {"queueAgent": {"healthPort": port}}}
        hook = containers(render(values))["inference-api"]["lifecycle"]["preStop"]["exec"]["command"]
        with subprocess.Popen(hook) as waiting:  # noqa: S603  the chart's own
            with pytest.raises(subprocess.TimeoutExpired):
                waiting.wait(0.3)
            health.close()
            assert 0 == waiting.wait(5)


def test_the_trigger_counts_messages_at_work_where_keda_reads_it() -> None:
    scaled = one(rendered("guide-runtime"), "ScaledObject")["spec"]
    (trigger,) = scaled["triggers"]
    assert "scaleOnInFlight" not in scaled
    assert {"queueURL": QUEUE, "awsRegion": "us-west-2", "scaleOnInFlight": "true"}.items() <= trigger[
        "metadata"
    ].items()
    assert [{"type": "Pods", "value": 1, "periodSeconds": 60}] == (
        scaled["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]["scaleDown"]["policies"]
    )


def test_the_guides_scaling_values_arrive() -> None:
    scaled = one(rendered("always-warm"), "ScaledObject")["spec"]
    assert (2, 2) == (scaled["minReplicaCount"], scaled["maxReplicaCount"])
    assert "false" == scaled["triggers"][0]["metadata"]["scaleOnInFlight"]
    behavior = one(rendered("hpa"), "ScaledObject")["spec"]["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
    assert 600 == behavior["scaleDown"]["stabilizationWindowSeconds"]
    assert 0 == behavior["scaleUp"]["stabilizationWindowSeconds"]


def test_the_guides_snapshot_and_images_arrive() -> None:
    objects = rendered("guide-china")
    (_, data) = one(objects, "EC2NodeClass")["spec"]["blockDeviceMappings"]
    assert "snap-1234567890" == data["ebs"]["snapshotID"]
    ecr = "123456789012.dkr.ecr.cn-northwest-1.amazonaws.com.cn/sd-on-eks"
    assert [f"{ecr}/sdwebui:latest", f"{ecr}/queue-agent:latest"] == [
        container["image"] for container in containers(objects).values()
    ]
    requirements = {
        it["key"]: it["values"] for it in one(objects, "NodePool")["spec"]["template"]["spec"]["requirements"]
    }
    assert ["g4dn.xlarge", "g4dn.2xlarge"] == requirements["node.kubernetes.io/instance-type"]
    assert ["spot", "on-demand"] == requirements["karpenter.sh/capacity-type"]


def test_models_come_from_the_bucket_through_a_cache() -> None:
    volume = one(rendered("guide-runtime"), "PersistentVolume")["spec"]
    assert {"bucketName": "models", "cache": "emptyDir", "cacheEmptyDirSizeLimit": "20Gi"} == volume["csi"][
        "volumeAttributes"
    ]
    runtime = containers(rendered("guide-runtime"))["inference-api"]
    assert "/opt/ml/code/models" in {mount["mountPath"] for mount in runtime["volumeMounts"]}
    assert not [key for key in rendered("no-persistence") if key[0].startswith("PersistentVolume")]


def test_webui_gets_every_option_that_a_task_may_override() -> None:
    config = one({k: v for k, v in rendered("everything-else").items() if k[1].endswith("-webui")}, "ConfigMap")
    options = json.loads(config["data"]["config.json"])
    assert options["disable_mmap_load_safetensors"] is True
    assert "jpg" == options["samples_format"]
    assert {"CLIP_stop_at_last_layers", "sd_vae", "eta_noise_seed_delta", "code_former_weight"} <= set(options)
    assert not [key for key in rendered("comfyui") if key[1].endswith("-webui")]


def test_without_a_gpu_nothing_asks_for_one() -> None:
    text = json.dumps([value for value in rendered("no-gpu").values() if value["kind"] != "ConfigMap"])
    assert "nvidia.com/gpu" not in text


def test_busy_pods_are_not_moved() -> None:
    annotations = one(rendered("guide-runtime"), "Deployment")["spec"]["template"]["metadata"]["annotations"]
    assert "true" == annotations["karpenter.sh/do-not-disrupt"]


def test_replicas_are_kedas_to_set() -> None:
    assert "replicas" not in one(rendered("guide-runtime"), "Deployment")["spec"]
    assert 3 == one(rendered("no-scaling"), "Deployment")["spec"]["replicas"]


@pytest.mark.parametrize("before", ["guide-runtime", "everything-else"])
@pytest.mark.parametrize("after", [case for case in CASES if case != "long-name"])
def test_an_upgrade_leaves_what_cannot_change(before: str, after: str) -> None:
    was = rendered(before)
    becomes = rendered(after, "sdruntime", "default")
    old, new = one(was, "Deployment"), one(becomes, "Deployment")
    assert old["metadata"]["name"] == new["metadata"]["name"]
    assert old["spec"]["selector"] == new["spec"]["selector"]
    for key in was.keys() & becomes.keys():
        if key[0] == "PersistentVolumeClaim":
            assert was[key]["spec"] == becomes[key]["spec"]
        if key[0] == "PersistentVolume":
            assert was[key]["spec"]["csi"] == becomes[key]["spec"]["csi"]
            assert was[key]["spec"]["claimRef"] == becomes[key]["spec"]["claimRef"]
        if key[0] == "NodePool":
            assert (
                was[key]["spec"]["template"]["spec"]["nodeClassRef"]
                == becomes[key]["spec"]["template"]["spec"]["nodeClassRef"]
            )


def test_another_image_keeps_the_claim_and_another_bucket_gets_a_new_one() -> None:
    claim = one(rendered("guide-runtime"), "PersistentVolumeClaim")
    assert claim == one(rendered("guide-images"), "PersistentVolumeClaim")
    assert claim["metadata"]["name"] != one(rendered("guide-china"), "PersistentVolumeClaim")["metadata"]["name"]


@pytest.mark.parametrize("case", ["guide-china", "comfyui"])
def test_golden(case: str) -> None:
    """After a deliberate change: `python -m tests.contract.golden_charts`."""
    assert yaml.safe_load((GOLDEN / f"{case}.yaml").read_text("utf-8")) == list(rendered(case).values())


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"runtime": {"scalling": {}}}, "scalling"),
        ({"runtime": {"type": "SD WebUI"}}, "type"),
        ({"runtime": {"type": "http"}}, "there is no sample image of type http; name your own"),
        (
            {"karpenter": {"provisioner": {"capacityType": {"spot": False, "onDemand": False}}}},
            "one of spot and onDemand",
        ),
        ({"karpenter": {"nodeTemplate": {"amiFamily": "AL2023"}}}, "is no image of AL2023"),
        ({"karpenter": {"nodeTemplate": {"dataVolume": {"iops": 1}}}}, "minimum: got 1"),
    ],
)
def test_wrong_values_are_refused_with_reasons(values: dict[str, Any], words: str) -> None:
    with pytest.raises(helm_python.HelmError, match=words):
        render(values)


def test_lint_finds_nothing() -> None:
    found = helm_python.lint(str(CHART))
    assert [] == found["errors"]
    assert ["icon is recommended"] == [it["error"] for it in found["messages"]]


@pytest.mark.parametrize(
    ("case", "said", "unsaid"),
    [
        ("guide-china", "from 0 to 20 replicas, one for every 10 messages", "No snapshot holds the images"),
        ("comfyui", "No snapshot holds the images", "It knows no queue yet"),
        ("no-scaling", "It runs 3 replicas.", "get scaledobject"),
        ("no-karpenter", "get pods -l", "nodepool"),
    ],
)
def test_the_notes_say_what_was_deployed_and_what_is_missing(case: str, said: str, unsaid: str) -> None:
    values, name, namespace = released(CASES[case])
    with helm_python.Chart.load(str(CHART)) as chart:
        (notes,) = (
            text
            for path, text in chart.render(values, name=name, namespace=namespace).items()
            if path.endswith("NOTES.txt")
        )
    assert f"{name} (" in notes
    assert said in notes
    assert unsaid not in notes


def test_keda_reads_the_queue_by_its_own_role_and_falls_back() -> None:
    objects = rendered("guide-runtime")
    assert {"provider": "aws"} == one(objects, "TriggerAuthentication")["spec"]["podIdentity"]
    scaled = one(objects, "ScaledObject")["spec"]
    (trigger,) = scaled["triggers"]
    assert one(objects, "TriggerAuthentication")["metadata"]["name"] == trigger["authenticationRef"]["name"]
    assert "0" == trigger["metadata"]["activationQueueLength"]
    assert {"failureThreshold", "replicas", "behavior"} == scaled["fallback"].keys()
    up = scaled["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]["scaleUp"]
    assert (0, "Max") == (up["stabilizationWindowSeconds"], up["selectPolicy"])


def test_the_chart_can_be_packaged(tmp_path: Path) -> None:
    archive = helm_python.package(str(CHART), destination=str(tmp_path))
    with helm_python.Chart.load(archive) as chart:
        assert "darkroom-runtime" == chart.name
        assert chart.render({}, name="a", namespace="b")


@pytest.mark.parametrize("name", FILES)
def test_schemas_are_those_of_the_models(name: str) -> None:
    """After a deliberate change: `python -m darkroom_cli.deploy.schemas`."""
    assert schema(FILES[name]) == (ROOT / name).read_text("utf-8")


def test_components_are_pinned_and_their_values_are_there() -> None:
    components = read_components(ROOT / "charts")
    assert ["karpenter-crd", "karpenter", "keda", "dcgm-exporter"] == [component.name for component in components]
    assert all((ROOT / "charts" / component.values).is_file() for component in components if component.values)
