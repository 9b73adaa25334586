"""Settings of the documentation site: Sphinx reads the repository's Markdown unchanged."""

from pathlib import Path
from typing import Any

from pygments.lexers.special import TextLexer  # type: ignore[import-untyped]

ROOT = Path(__file__).parents[2]

project = "Serverless API"
extensions = ["myst_parser"]
root_doc = "README"
include_patterns = [
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "docs/**.md",
    "examples/**.md",
    "packages/local_engine/README.md",
    "packages/local_engine/docs/**.md",
]
myst_heading_anchors = 4
html_theme = "furo"
html_title = project
# Pages refer to one another; the sidebar groups them.
GROUPS = {
    "Build": [
        "docs/start-your-own",
        "docs/add-an-endpoint",
        "docs/add-a-noun",
        "docs/leave-out-a-part",
        "docs/moving-here",
        "docs/upgrading",
    ],
    "Run": ["docs/local", "docs/debugging", "docs/reference", "docs/identity/*", "docs/operations/*"],
    "Know": ["docs/security", "docs/privacy", "docs/cost", "docs/figures", "docs/benchmarks/*"],
    "Decisions": ["docs/decisions/*"],
    "Local engine": ["packages/local_engine/README", "packages/local_engine/docs/*"],
    "Project": ["CHANGELOG", "CONTRIBUTING", "examples/**"],
}


def add_sidebar(_: Any, page: str, source: list[str]) -> None:
    """Append the site's tables of contents to the first page."""
    if page == root_doc:
        source[0] += "".join(
            f"\n```{{toctree}}\n:hidden:\n:glob:\n:caption: {caption}\n\n" + "\n".join(pages) + "\n```\n"
            for caption, pages in GROUPS.items()
        )


def setup(app: Any) -> None:
    """Connect to Sphinx."""
    app.connect("source-read", add_sidebar)
    # GitHub draws diagrams; here they are shown as text, and no page loads a script from elsewhere.
    app.add_lexer("mermaid", TextLexer)
