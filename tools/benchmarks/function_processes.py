"""The processes in which the local engine runs functions, as Linux shows them in /proc."""

from pathlib import Path


def read_function(process: int) -> str:
    """Return the name of the function that a process runs, or an empty string."""
    try:
        variables = Path(f"/proc/{process}/environ").read_bytes().split(b"\0")
    except OSError:
        return ""
    return next((entry.decode() for entry in variables if entry.startswith(b"AWS_LAMBDA_FUNCTION_NAME=")), "")


def read_memory(process: int) -> int:
    """Return the most memory that a process has had, in KB; 0 if it is gone."""
    try:
        status = Path(f"/proc/{process}/status").read_text(encoding="utf-8")
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")), 0)
