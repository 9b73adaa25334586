"""The endpoint of docs/add-an-endpoint.md, made of the page's own code blocks."""

import re
import subprocess
from pathlib import Path

from tests.recipes.changes import insert_block
from tests.support.stack import ROOT

PAGE = ROOT / "docs/add-an-endpoint.md"
# The line before which a block of the template goes, in the order of the page.
ANCHORS = ("  CreateResource:", "        components:")


def add_endpoint(project: Path) -> None:
    page = PAGE.read_text(encoding="utf-8")
    files = re.findall(r"^`([\w/]+\.py)`:\n\n```python\n(.+?)^```$", page, re.MULTILINE | re.DOTALL)
    assert len(files) == page.count("```python")
    for name, text in files:
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(text)
    blocks = re.findall(r"^```yaml\n(.+?)^```$", page, re.MULTILINE | re.DOTALL)
    for anchor, block in zip(ANCHORS, blocks, strict=True):
        insert_block(project / "template.yaml", anchor, block)
    (event,) = re.findall(r"^```sh\n(sed .+?)^```$", page, re.MULTILINE | re.DOTALL)
    subprocess.run(event, shell=True, cwd=project, check=True)
