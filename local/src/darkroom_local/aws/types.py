"""CloudFormation types that moto 5.2.5 lacks, or must not simulate because the local cloud hosts them itself.

A *recorded* type keeps its properties as moto's parser resolved them, with a physical id, `Ref` and `Fn::GetAtt` as
on AWS, and does nothing else; `RECORDS` holds them for `recorded` to read. moto finds a type among the direct
subclasses of `CloudFormationModel`, the last definition winning. (These classes cannot live in a `__main__`: moto
reads a service's name out of the name of their module.)
"""

import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

from moto.cloudformation import parsing
from moto.cloudformation.exceptions import UnformattedGetAttTemplateException
from moto.core.common_models import CloudFormationModel
from moto.events.models import Rule
from moto.sns.models import sns_backends

RECORDS: dict[tuple[str, str], dict[str, Any]] = {}
"""What was recorded, by stack id and logical id."""


@dataclass(frozen=True)
class Shape:
    """How a recorded type is named.

    `name` is the property that names it, if any; `reference` (`Ref`) and `attributes` (`Fn::GetAtt`) are format
    strings over `name`, `token` (random, as AWS assigns ids), `region`, `account` and, in `attributes`, `id`.
    `hosted` types are run by the local cloud; the others are accepted and have no effect.
    """

    name: str = ""
    reference: str = "{token}"
    attributes: dict[str, str] = field(default_factory=dict)
    hosted: bool = True


def _accepted(name: str = "", **attributes: str) -> Shape:
    return Shape(name, "{name}", attributes, hosted=False)


_LAMBDA = "arn:aws:lambda:{region}:{account}"
SHAPES = {
    "AWS::ApiGateway::ApiKey": Shape("Name", attributes={"APIKeyId": "{id}"}),
    "AWS::ApiGateway::Deployment": Shape(attributes={"DeploymentId": "{id}"}),
    "AWS::ApiGateway::GatewayResponse": Shape(attributes={"Id": "{id}"}),
    "AWS::ApiGateway::RestApi": Shape("Name", attributes={"RestApiId": "{id}", "RootResourceId": "{id}"}),
    "AWS::ApiGateway::Stage": Shape("StageName", "{name}"),
    "AWS::ApiGateway::UsagePlan": Shape("UsagePlanName", attributes={"Id": "{id}"}),
    "AWS::ApiGateway::UsagePlanKey": Shape(attributes={"Id": "{id}"}),
    "AWS::Lambda::EventInvokeConfig": Shape(),
    "AWS::Lambda::EventSourceMapping": Shape(attributes={"Id": "{id}"}),
    "AWS::Lambda::Function": Shape("FunctionName", "{name}", {"Arn": _LAMBDA + ":function:{id}"}),
    "AWS::Lambda::LayerVersion": Shape("LayerName", _LAMBDA + ":layer:{name}:1", {"LayerVersionArn": "{id}"}),
    "AWS::Lambda::Permission": Shape(attributes={"Id": "{id}"}),
    "AWS::Scheduler::Schedule": Shape(
        "Name", "{name}", {"Arn": "arn:aws:scheduler:{region}:{account}:schedule/default/{id}"}
    ),
    "AWS::ApiGateway::Account": _accepted(Id="{id}"),
    "AWS::CloudWatch::Alarm": _accepted("AlarmName", Arn="arn:aws:cloudwatch:{region}:{account}:alarm:{id}"),
    "AWS::CloudWatch::CompositeAlarm": _accepted(
        "AlarmName", Arn="arn:aws:cloudwatch:{region}:{account}:alarm:{id}"
    ),
    "AWS::Events::EventBusPolicy": _accepted(),
    "AWS::Logs::MetricFilter": _accepted("FilterName"),
    "AWS::Logs::QueryDefinition": _accepted(QueryDefinitionId="{id}"),
    "AWS::S3::BucketPolicy": _accepted(),
    "AWS::SNS::TopicPolicy": _accepted(Id="{id}"),
    "AWS::SQS::QueuePolicy": _accepted(Id="{id}"),
}


class _Recorded:
    """What every recorded type does; `kind` and `shape` say which one it is."""

    kind: ClassVar[str]
    shape: ClassVar[Shape]

    def __init__(self, key: tuple[str, str], physical_id: str, attributes: dict[str, str]) -> None:
        self._key = key
        self._attributes = attributes
        self.physical_resource_id = physical_id

    @classmethod
    def cloudformation_type(cls) -> str:
        return cls.kind

    @classmethod
    def cloudformation_name_type(cls) -> str:
        return cls.shape.name

    @classmethod
    def has_cfn_attr(cls, attr: str) -> bool:
        return attr in cls.shape.attributes

    def get_cfn_attribute(self, attribute_name: str) -> str:
        if attribute_name not in self._attributes:
            raise UnformattedGetAttTemplateException
        return self._attributes[attribute_name]

    def is_created(self) -> bool:
        return True

    def delete(self, _account_id: str, _region_name: str) -> None:
        RECORDS.pop(self._key, None)

    @classmethod
    def create_from_cloudformation_json(
        cls,
        resource_name: str,
        cloudformation_json: dict[str, Any],
        account_id: str,
        region_name: str,
        **kwargs: str,
    ) -> Self:
        properties = cloudformation_json["Properties"]
        if cls.kind == "AWS::ApiGateway::ApiKey":
            properties.setdefault("Value", secrets.token_hex(20))
        name = properties.get(cls.shape.name, resource_name) if cls.shape.name else resource_name
        token = secrets.token_hex(5)
        names = {"name": name, "token": token, "region": region_name, "account": account_id}
        physical_id = cls.shape.reference.format(**names)
        attributes = {key: value.format(id=physical_id, **names) for key, value in cls.shape.attributes.items()}
        key = (kwargs["StackId"], kwargs["LogicalId"])
        RECORDS[key] = {
            "stack": kwargs["StackId"].split("/")[1],
            "type": cls.kind,
            "id": physical_id,
            "logical_id": kwargs["LogicalId"],
            "attributes": attributes,
            "properties": properties,
            "hosted": cls.shape.hosted,
        }
        return cls(key, physical_id, attributes)


def _define(kind: str, shape: Shape, base: type[_Recorded] = _Recorded) -> type[CloudFormationModel]:
    members = {"kind": kind, "shape": shape, "__module__": __name__}
    return type(kind.replace("::", ""), (base, CloudFormationModel), members)


class _Unknown(_Recorded):
    """A type that neither moto nor the local cloud knows: any attribute is a made-up text."""

    @classmethod
    def has_cfn_attr(cls, attr: str) -> bool:  # noqa: ARG003  the attributes of an unknown type are unknown
        return True

    def get_cfn_attribute(self, attribute_name: str) -> str:
        return f"{self.physical_resource_id}-{attribute_name}"


class _TopicSubscription(CloudFormationModel):
    """`AWS::SNS::Subscription`: raw delivery, filter policy and scope work; moto keeps a redrive policy unused."""

    def __init__(self, arn: str) -> None:
        self.physical_resource_id = arn

    @staticmethod
    def cloudformation_name_type() -> str:
        return ""

    @staticmethod
    def cloudformation_type() -> str:
        return "AWS::SNS::Subscription"

    @classmethod
    def has_cfn_attr(cls, attr: str) -> bool:
        return attr == "Arn"

    def get_cfn_attribute(self, attribute_name: str) -> str:
        if attribute_name != "Arn":
            raise UnformattedGetAttTemplateException
        return self.physical_resource_id

    def is_created(self) -> bool:
        return True

    @classmethod
    def create_from_cloudformation_json(
        cls,
        resource_name: str,  # noqa: ARG003  moto's signature
        cloudformation_json: dict[str, Any],
        account_id: str,
        region_name: str,
        **_: str,
    ) -> Self:
        properties = cloudformation_json["Properties"]
        if properties["Protocol"] == "lambda":
            raise NotImplementedError("the local cloud delivers no topic to a function")
        backend = sns_backends[account_id][region_name]
        arn = backend.subscribe(properties["TopicArn"], properties["Endpoint"], properties["Protocol"]).arn
        for name in ("FilterPolicyScope", "FilterPolicy", "RedrivePolicy"):
            if value := properties.get(name):
                backend.set_subscription_attributes(
                    arn, name, value if isinstance(value, str) else json.dumps(value)
                )
        if str(properties.get("RawMessageDelivery", "")).lower() == "true":
            backend.set_subscription_attributes(arn, "RawMessageDelivery", "true")
        return cls(arn)

    def delete(self, account_id: str, region_name: str) -> None:
        sns_backends[account_id][region_name].unsubscribe(self.physical_resource_id)


def _create_rule(create: Callable[..., Any], record: Callable[..., Any]) -> Callable[..., Any]:
    """A schedule that invokes functions is recorded; every other rule stays moto's."""

    def create_rule(_: type[Rule], /, name: str, template: dict[str, Any], *args: str, **kwargs: str) -> object:
        properties = template["Properties"]
        arns = [target["Arn"] for target in properties.get("Targets", [])]
        scheduled = "ScheduleExpression" in properties and all(":lambda:" in arn for arn in arns)
        return (record if scheduled else create)(name, template, *args, **kwargs)

    return create_rule


def install() -> None:
    """Makes moto's CloudFormation know these types, for this process."""
    for kind, shape in SHAPES.items():
        _define(kind, shape)
    rule_shape = Shape("Name", "{name}", {"Arn": "arn:aws:events:{region}:{account}:rule/{id}"})
    schedule_rule: Any = type("ScheduleRule", (_Recorded,), {"kind": "AWS::Events::Rule", "shape": rule_shape})
    record = schedule_rule.create_from_cloudformation_json
    create = _create_rule(Rule.create_from_cloudformation_json, record)
    Rule.create_from_cloudformation_json = classmethod(create)  # type: ignore[assignment,method-assign]  # a patch
    parsing.get_model_list.cache_clear()
    parsing.get_model_map.cache_clear()
    known = parsing.get_model_map()
    of_type = parsing.resource_class_from_type

    def resource_class_from_type(resource_type: str) -> type[CloudFormationModel]:
        if resource_type not in known and not resource_type.startswith("Custom::"):
            known[resource_type] = _define(resource_type, Shape(reference="{name}", hosted=False), _Unknown)
        return of_type(resource_type)

    parsing.resource_class_from_type = resource_class_from_type
