"""Which resources the local engine runs, and which have no effect on one machine."""

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
    "AWS::Lambda::EventSourceMapping",
    "AWS::Lambda::Function",
    "AWS::Lambda::LayerVersion",
    "AWS::Lambda::Url",
    "AWS::S3::Bucket",
    "AWS::SNS::Subscription",
    "AWS::SNS::Topic",
    "AWS::SQS::Queue",
    "AWS::SSM::Parameter",
    "AWS::Scheduler::Schedule",
    "AWS::Scheduler::ScheduleGroup",
    "AWS::SecretsManager::Secret",
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
    "AWS::CloudFormation::WaitCondition",
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
_ALEXA = "alexa-appkit.amazon.com"
_REASONS = {
    "AWS::Events::Archive": "it is an archive, and the local engine keeps no events.",
    "AWS::IoT::TopicRule": "it is a rule of IoT messages, which do not exist here.",
    "AWS::Logs::SubscriptionFilter": "it is a trigger of log lines, which start no functions here.",
    "AWS::StepFunctions::StateMachine": "it is a state machine.",
}


def is_supporting(resource_type: str) -> bool:
    """Return whether resources of a type have no effect on one machine."""
    return resource_type not in (*SERVED_TYPES, *_REASONS) and resource_type.startswith(_SUPPORTING)


def describe_unserved(resource: Resource) -> str:
    """Return a sentence if the local engine does not run a resource, or an empty string."""
    if resource.type == "AWS::Lambda::Permission" and resource.find("Principal") == _ALEXA:
        return "it lets an Alexa skill start a function, and no skill does so here."
    if resource.type == "AWS::Cognito::UserPool" and resource.find("LambdaConfig"):
        return "the functions in its LambdaConfig are not called here. Its tokens are served."
    if resource.type in SERVED_TYPES or is_supporting(resource.type):
        return ""
    if resource.type == "AWS::CloudFormation::CustomResource" or resource.type.startswith("Custom::"):
        return "it is a custom resource, and no deployment calls its function here."
    return _REASONS.get(resource.type, f"the local engine has no {resource.type}.")
