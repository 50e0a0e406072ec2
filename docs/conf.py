"""How Sphinx builds the documentation."""

from importlib.metadata import version as installed_version

project = "airplane-runbooks"
author = "the airplane-runbooks authors"
copyright = f"2026, {author}"
release = version = installed_version(project)

extensions = ["myst_parser", "sphinx.ext.autodoc"]
exclude_patterns = ["_build"]

html_theme = "furo"
html_title = f"{project} {release}"

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "description"
