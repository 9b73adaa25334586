import os
import sys


def lambda_handler(event, context):
    return {
        "environment": dict(os.environ),
        "path": sys.path,
        "remaining": context.get_remaining_time_in_millis(),
        "context": {
            name: getattr(context, name)
            for name in (
                "aws_request_id",
                "function_name",
                "function_version",
                "invoked_function_arn",
                "log_group_name",
                "log_stream_name",
                "memory_limit_in_mb",
            )
        },
    }
