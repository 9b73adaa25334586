"""CloudWatch for a served stack: metrics, alarms and dashboards. Optional: it observes the engine's core."""
