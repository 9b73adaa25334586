"""The endpoint of docs/add-an-endpoint.md: what `make endpoint` writes, with the page's function, answer and test."""

import re
from pathlib import Path

from tests.recipes.changes import run_tool
from tests.support.stack import ROOT

PAGE = ROOT / "docs/add-an-endpoint.md"
FILES = ("functions/count_days/app.py", "tests/api/test_count_days.py")


def add_endpoint(project: Path) -> None:
    page = PAGE.read_text(encoding="utf-8")
    ((name, method, path),) = re.findall(r"^make endpoint NAME=(\S+) METHOD=(\S+) PATH=(\S+)$", page, re.MULTILINE)
    run_tool(project, "endpoint", f"--name={name}", f"--method={method}", f"--path={path}")
    texts = re.findall(r"^```python\n(.+?)^```$", page, re.MULTILINE | re.DOTALL)
    for name, text in zip(FILES, texts, strict=True):
        assert (project / name).exists()
        (project / name).write_text(text)
    (answer,) = re.findall(r"^```text\n(.+)\n```$", page, re.MULTILINE)
    template = project / "template.yaml"
    written = re.escape("schema: {type: object, properties: {count: ") + r".+ example: \{count: 2\}"
    text, count = re.subn(written, lambda _: answer, template.read_text())
    assert count == 1
    template.write_text(text)
