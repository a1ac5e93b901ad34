"""What a runtime's pods may do and what they may not, by the policies of sam/runtime.yaml and IAM's own rules."""

import re
from collections.abc import Callable, Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

import pytest
from tests.templates import template

from darkroom.runtimes import Runtime
from darkroom_local.aws.policies import as_list

BUCKET = "arn:aws:s3:::images"
TASKS = "arn:aws:dynamodb:eu-west-1:123456789012:table/tasks"
SQS = "arn:aws:sqs:eu-west-1:123456789012"
KEPT = ("uploads/a/b", ".batches/a/b/rows.json", ".pipelines/a/b/plan.json", ".requests/a/b/c.json")
"""What others keep in the bucket."""
UNREAD = (".batches/a/b/rows.json", ".pipelines/a/b/plan.json", ".previews/a/b.png")
GIVEN: dict[str, Any] = {
    "AWS::Partition": "aws",
    "AWS::Region": "eu-west-1",
    "AWS::AccountId": "123456789012",
    "AWS::NoValue": None,
    "TasksTable": "tasks",
    "OutputBucket": "images",
    "ResultsQueueArn": f"{SQS}:results",
    "Queue.Arn": f"{SQS}:own",
    "PriorityQueue.Arn": f"{SQS}:own-urgent",
    **dict.fromkeys(("PodRole.Arn", "Queue", "PriorityQueue", "DeadLetters"), "-"),
    "ControlPlane": "darkroom",
    "RuntimeName": "own",
    "RuntimeType": "sdwebui",
}


def resolve(value: Any, known: Mapping[str, Any]) -> Any:  # noqa: PLR0911  one for each function
    """A template's value as CloudFormation makes it; conditional policies are those of an unset parameter."""
    match value:
        case {"Ref": name}:
            return known[name]
        case {"Fn::GetAtt": path}:
            return known[path if isinstance(path, str) else ".".join(path)]
        case {"Fn::Join": [glue, parts]}:
            return glue.join(resolve(parts, known))
        case {"Fn::Split": [mark, text]}:
            return resolve(text, known).split(mark)
        case {"Fn::Sub": [text, names]}:
            more = {**known, **{name: resolve(it, known) for name, it in names.items()}}
            return resolve({"Fn::Sub": text}, more)
        case {"Fn::Sub": text}:
            return re.sub(r"\$\{([^}]+)\}", lambda found: str(known[found[1]]), text)
        case {"Fn::If": [_, _, otherwise]}:
            return resolve(otherwise, known)
        case dict():
            return {key: resolve(it, known) for key, it in value.items()}
        case list():
            return [resolve(it, known) for it in value]
    return value


def resolved(resource: str, attribute: str, parameters: Mapping[str, str]) -> Any:
    """An attribute of a resource, with these parameters of the stack and the defaults of the others."""
    known = dict(GIVEN)
    for name, parameter in template("runtime")["Parameters"].items():
        text = parameters.get(name, known.get(name, parameter.get("Default", "")))
        known[name] = text.split(",") if parameter["Type"] == "CommaDelimitedList" else text
    return resolve(template("runtime")["Resources"][resource]["Properties"][attribute], known)


def statements(parameters: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """The pod role's statements."""
    for policy in resolved("PodRole", "Policies", parameters):
        yield from policy["PolicyDocument"]["Statement"] if policy else ()


def holds(condition: Mapping[str, Mapping[str, Any]], context: Mapping[str, list[str]]) -> bool:
    """Whether a condition of the kinds that the role has is met."""
    return all(
        all(any(MATCH[operator](value, pattern) for pattern in as_list(patterns)) for value in context.get(key, []))
        for operator, keys in condition.items()
        for key, patterns in keys.items()
    )


MATCH: dict[str, Callable[[str, str], bool]] = {
    "ForAllValues:StringLike": fnmatchcase,
    "ForAllValues:StringEquals": lambda value, pattern: value == pattern,
}


def allowed(
    action: str,
    resource: str,
    context: Mapping[str, list[str]] | None = None,
    parameters: Mapping[str, str] | None = None,
) -> bool:
    """IAM's rule: some statement allows it, and none denies it."""
    effects = {
        it["Effect"]
        for it in statements(parameters or {})
        if any(fnmatchcase(action.lower(), pattern.lower()) for pattern in as_list(it["Action"]))
        and any(fnmatchcase(resource, pattern) for pattern in as_list(it["Resource"]))
        and holds(it.get("Condition", {}), context or {})
    }
    return effects == {"Allow"}


def of_task(key: str, *attributes: str) -> dict[str, list[str]]:
    return {"dynamodb:LeadingKeys": [key], "dynamodb:Attributes": ["pk", *attributes]}


@pytest.mark.parametrize(
    ("action", "resource", "why"),
    [
        ("sqs:ReceiveMessage", f"{SQS}:own", "its own work"),
        ("sqs:DeleteMessage", f"{SQS}:own-urgent", "urgent copies"),
        ("sqs:SendMessage", f"{SQS}:results", "its reports"),
        ("s3:PutObject", f"{BUCKET}/output/t1/t1-abcd-1.png", "the guide's output"),
        ("s3:PutObject", f"{BUCKET}/.previews/key1/t1.png", "what a task shows so far"),
        ("s3:GetObject", f"{BUCKET}/output/t0/t0-abcd-1.png", "an image of an earlier step"),
        ("s3:GetObject", f"{BUCKET}/.requests/key1/t1/2026.json", "a large content"),
        ("s3:GetObject", f"{BUCKET}/uploads/key1/01H/cat.png", "an input"),
    ],
)
def test_a_pod_may_do_its_work(action: str, resource: str, why: str) -> None:
    assert allowed(action, resource), why


@pytest.mark.parametrize(
    ("action", "resource"),
    [
        ("sqs:ReceiveMessage", f"{SQS}:another"),
        ("sqs:ReceiveMessage", f"{SQS}:results"),
        ("sqs:SendMessage", f"{SQS}:own"),
        ("sqs:PurgeQueue", f"{SQS}:own"),
        ("s3:ListBucket", BUCKET),
        ("s3:DeleteObject", f"{BUCKET}/output/t1/t1-abcd-1.png"),
        ("s3:PutBucketPolicy", BUCKET),
        ("s3:GetObject", "arn:aws:s3:::another/output/t1.png"),
        *(("s3:PutObject", f"{BUCKET}/{name}") for name in KEPT),
        *(("s3:GetObject", f"{BUCKET}/{name}") for name in UNREAD),
        *(
            (f"dynamodb:{action}", TASKS)
            for action in ("PutItem", "DeleteItem", "Query", "Scan", "BatchGetItem", "PartiQLUpdate")
        ),
        ("dynamodb:Query", f"{TASKS}/index/by_owner"),
        *(
            (f"dynamodb:{action}", TASKS.replace("/tasks", f"/{table}"))
            for table in ("pipelines", "deliveries", "announcements")
            for action in ("GetItem", "UpdateItem", "PutItem", "Query")
        ),
        ("ssm:GetParameter", "arn:aws:ssm:eu-west-1:123456789012:parameter/darkroom/webhooks/key1"),
        ("sns:Publish", "arn:aws:sns:eu-west-1:123456789012:completions"),
        ("events:PutEvents", "arn:aws:events:eu-west-1:123456789012:event-bus/darkroom"),
        ("states:SendTaskSuccess", "*"),
        ("lambda:InvokeFunction", "arn:aws:lambda:eu-west-1:123456789012:function:api"),
    ],
)
def test_whatever_is_not_its_work_is_out_of_a_pods_reach(action: str, resource: str) -> None:
    assert not allowed(action, resource, of_task("key1/t1", "status"))


def test_of_a_task_a_pod_may_change_how_it_fares_and_nothing_else() -> None:
    assert allowed("dynamodb:UpdateItem", TASKS, of_task("key1/t1", "status", "attempt", "lease_until"))
    for attribute in ("owner", "content", "prefix", "runtime", "task_token", "webhook", "images"):
        assert not allowed("dynamodb:UpdateItem", TASKS, of_task("key1/t1", "status", attribute)), attribute


def test_a_pod_of_one_owners_runtime_touches_no_others_tasks() -> None:
    mine = {"Owners": "key1,key2"}
    for action in ("dynamodb:GetItem", "dynamodb:UpdateItem"):
        assert allowed(action, TASKS, of_task("key1/t1"), mine)
        assert allowed(action, TASKS, of_task("key2/t1"), mine)
        assert not allowed(action, TASKS, of_task("key3/t1"), mine)
        assert not allowed(action, TASKS, of_task("key11/t1"), mine), "a longer name is another"
        assert allowed(action, TASKS, of_task("key3/t1")), "the default is all"


def test_a_pod_of_a_runtime_with_a_folder_writes_there_and_reads_there_and_inputs() -> None:
    folder = {"OutputPrefix": "team-a"}
    for action in ("s3:PutObject", "s3:GetObject"):
        assert allowed(action, f"{BUCKET}/team-a/t1/t1-abcd-1.png", parameters=folder)
        assert allowed(action, f"{BUCKET}/team-a/today/t1/t1-abcd-1.png", parameters=folder)
        assert not allowed(action, f"{BUCKET}/output/t1/t1-abcd-1.png", parameters=folder)
        assert not allowed(action, f"{BUCKET}/team-ab/t1/t1-abcd-1.png", parameters=folder)
    assert allowed("s3:GetObject", f"{BUCKET}/uploads/key1/01H/cat.png", parameters=folder)
    assert not allowed("s3:PutObject", f"{BUCKET}/.pipelines/a/b/plan.json", parameters=folder)


@pytest.mark.parametrize("folder", ["*", "output", "out*", "team-a", "team-a/today", "*/public"])
@pytest.mark.parametrize("owners", ["*", "key1", "key2,key1", "key2"])
def test_the_api_accepts_what_the_pods_have_a_right_to_and_nothing_else(folder: str, owners: str) -> None:
    given = {"OutputPrefix": folder, "Owners": owners}
    runtime = Runtime.model_validate_json(resolved("Registration", "Value", given))
    assert allowed("dynamodb:UpdateItem", TASKS, of_task("key1/t1", "status"), given) == runtime.serves("key1")
    for prefix in ("output", "outputs", "team-a", "team-a/today", "team-ab", "a/public", "public"):
        written = allowed("s3:PutObject", f"{BUCKET}/{prefix}/t1/t1-abcd-1.png", parameters=given)
        assert written == runtime.may_write(prefix), prefix
