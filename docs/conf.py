"""Configures Sphinx, which builds the documentation."""

from pathlib import Path
from runpy import run_path

project = "airplane-runbooks"
author = "the airplane-runbooks authors"
copyright = f"2026, {author}"
release = version = run_path(str(Path(__file__).parents[1] / "src/airplane_runbooks/version.py"))["__version__"]

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]

html_theme = "furo"
html_title = f"{project} {release}"

# No other syntax of MyST: the pages are read on GitHub as well.
myst_enable_extensions = ["html_image"]
myst_heading_anchors = 3

default_role = "code"  # docstrings mark code by single backticks
autodoc_member_order = "bysource"
autodoc_typehints = "description"
napoleon_use_ivar = True  # attributes are part of their class, so that "type" is not taken for one of them
