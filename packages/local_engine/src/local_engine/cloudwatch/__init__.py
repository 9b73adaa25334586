"""What CloudWatch does for a stack: its metrics, alarms and dashboards, of what the engine plays."""
