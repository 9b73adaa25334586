"""Event source mappings: functions that read queues and streams."""
