"""Paths of the API are written once on the server, and once in the client."""

from __future__ import annotations

from airplane_runbooks import operations
from airplane_runbooks.server.web.api.handlers import create_run
from airplane_runbooks.server.web.api.routes import API_PREFIX, API_ROUTES, EXTENSIONS_PREFIX, is_below_api

OPERATIONS = [value for value in vars(operations).values() if isinstance(value, operations.Operation)]


def routes_of(operations):
    return {(one.method, (EXTENSIONS_PREFIX if one.is_extension else API_PREFIX) + one.path) for one in operations}


def test_every_operation_of_the_client_has_a_route():
    routes = {(route.method, route.path) for routes in API_ROUTES.values() for route in routes}
    assert OPERATIONS
    assert routes_of(OPERATIONS) <= routes


def test_a_route_without_an_operation_is_for_other_clients():
    known = routes_of(OPERATIONS)
    others = [route for route in API_ROUTES[API_PREFIX] if (route.method, route.path) not in known]
    assert {route.handler.__module__.rpartition(".")[2] for route in others} == {"command_line", "handlers"}
    assert [route.handler for route in others if route.handler.__module__.endswith("handlers")] == [create_run]


def test_every_path_of_the_api_is_told_from_a_page():
    assert all(is_below_api(route.path) for routes in API_ROUTES.values() for route in routes)
    assert not is_below_api("/")
    assert not is_below_api("/v0extra")
