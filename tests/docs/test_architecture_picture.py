"""The pictures of the architecture show today's imports."""

from __future__ import annotations

from xml.etree.ElementTree import fromstring

import pytest

from docs.architecture_picture import IMAGES, drawing, heights, pictures, reduced, rows_of

SVG = "{http://www.w3.org/2000/svg}"
PICTURES = pictures()


@pytest.mark.parametrize("name", PICTURES)
def test_the_committed_picture_shows_todays_imports(name):
    assert (IMAGES / name).read_text("utf-8") == PICTURES[name], "run `python -m docs.architecture_picture`"


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_describes_itself_in_words(name):
    picture = fromstring(PICTURES[name])

    assert picture.get("role") == "img"
    assert picture.findtext(f"{SVG}title").startswith("The layers of the ")
    assert "imports" in picture.findtext(f"{SVG}desc")


def test_every_layer_of_the_server_has_a_box():
    boxes = [text.text for text in fromstring(PICTURES["architecture-server.svg"]).iter(f"{SVG}text")]

    assert {"app", "engine", "service", "storage", "web", "models"} <= set(boxes)


GRAPH = {"http": set(), "errors": {"http"}, "models": {"errors"}, "client": {"http", "models"}}


def test_an_arrow_is_left_out_where_a_longer_path_leads():
    assert reduced(GRAPH) == {"http": set(), "errors": {"http"}, "models": {"errors"}, "client": {"models"}}


def test_a_layer_stands_above_everything_it_imports():
    assert heights(GRAPH) == {"http": 0, "errors": 1, "models": 2, "client": 3}


def test_an_arrow_takes_room_in_the_rows_that_it_passes():
    assert [len(row) for row in rows_of(GRAPH)] == [1, 2, 2, 1]


def test_layers_that_import_one_another_share_an_arrow():
    mutual = {"server.authoring": {"server.execution"}, "server.execution": {"server.authoring"}}
    picture = fromstring(drawing("Both", mutual))
    (arrow,) = [path for path in picture.iter(f"{SVG}path") if path.get("class") == "arrow"]

    assert arrow.get("marker-start") == arrow.get("marker-end") == "url(#tip)"
