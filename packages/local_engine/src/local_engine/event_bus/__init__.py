"""EventBridge rules, schedules, and notifications of topics and buckets, inside the process that runs moto."""
