"""Which resources the local engine runs, and which have no part of their own on one machine."""

from local_engine.template.stack import Resource

SERVED_TYPES = {
    "AWS::ApiGateway::RestApi",
    "AWS::ApiGatewayV2::Api",
    "AWS::CloudFormation::Stack",
    "AWS::Cognito::UserPool",
    "AWS::Cognito::UserPoolClient",
    "AWS::Cognito::UserPoolResourceServer",
    "AWS::DynamoDB::Table",
    "AWS::Events::EventBus",
    "AWS::Events::Rule",
    "AWS::Lambda::Function",
    "AWS::Lambda::LayerVersion",
    "AWS::Lambda::Url",
    "AWS::SQS::Queue",
}
"""Types that a room serves. Each room reports its own faults."""

# Permissions, networks, deployment and settings of other resources: without them, everything runs the same here.
_SUPPORTING = (
    "AWS::ApiGateway::Account",
    "AWS::ApiGateway::Authorizer",
    "AWS::ApiGateway::BasePathMapping",
    "AWS::ApiGateway::Deployment",
    "AWS::ApiGateway::DomainName",
    "AWS::ApiGateway::GatewayResponse",
    "AWS::ApiGateway::Method",
    "AWS::ApiGateway::Model",
    "AWS::ApiGateway::RequestValidator",
    "AWS::ApiGateway::Resource",
    "AWS::ApiGateway::Stage",
    "AWS::ApiGatewayV2::",
    "AWS::ApplicationAutoScaling::",
    "AWS::Budgets::",
    "AWS::CDK::",
    "AWS::CertificateManager::",
    "AWS::CloudFormation::WaitConditionHandle",
    "AWS::CloudWatch::",
    "AWS::CodeDeploy::",
    "AWS::EC2::",
    "AWS::Events::EventBusPolicy",
    "AWS::IAM::",
    "AWS::KMS::",
    "AWS::Lambda::Alias",
    "AWS::Lambda::EventInvokeConfig",
    "AWS::Lambda::LayerVersionPermission",
    "AWS::Lambda::Permission",
    "AWS::Lambda::Version",
    "AWS::Logs::",
    "AWS::Route53::",
    "AWS::S3::BucketPolicy",
    "AWS::SNS::TopicPolicy",
    "AWS::SQS::QueuePolicy",
    "AWS::SecretsManager::ResourcePolicy",
    "AWS::SecretsManager::RotationSchedule",
    "AWS::WAFv2::",
    "AWS::XRay::",
)
_REASONS = {
    "AWS::Lambda::EventSourceMapping": "it is a trigger, and only HTTP APIs and Invoke start functions here.",
    "AWS::Scheduler::Schedule": "it is a schedule.",
    "AWS::StepFunctions::StateMachine": "it is a state machine.",
}


def is_supporting(resource_type: str) -> bool:
    """Return whether resources of a type have no part of their own on one machine."""
    return resource_type not in SERVED_TYPES and resource_type.startswith(_SUPPORTING)


def describe_unserved(resource: Resource) -> str:
    """Return a sentence if the local engine does not run a resource, or an empty string."""
    if resource.type in SERVED_TYPES or is_supporting(resource.type):
        return ""
    return _REASONS.get(resource.type, f"the local engine has no {resource.type}.")
