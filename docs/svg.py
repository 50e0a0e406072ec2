# ruff: noqa: INP001 - docs is not a package
"""The beginning of every picture of the documentation that a script draws: its size, title and description."""

from __future__ import annotations

HEAD = """\
<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-labelledby="title desc" \
width="{width}" height="{height}" viewBox="0 0 {width} {height}">
<title id="title">{title}</title>
<desc id="desc">{description}</desc>
"""
