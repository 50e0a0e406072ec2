"""The same call as other libraries make it, each in the way that its documentation advises."""

from __future__ import annotations

import os
from typing import Any

from .canned import Endpoint
from .contenders import BODY, HEADERS, KEY, PATH, ROUTE, VALUES, Call


def requests_session(endpoint: Endpoint) -> Call:
    """Requests, with a session and its own JSON."""
    import requests

    session = requests.Session()
    session.headers.update(HEADERS)
    url = f"{endpoint.origin}{PATH}"

    def call() -> object:
        return session.post(url, json=BODY, timeout=30, verify=endpoint.ca or True).json()["sessionID"]

    return call


def httpx_client(endpoint: Endpoint) -> Call:
    """Httpx with its own JSON."""
    import httpx

    verify = endpoint.context() if endpoint.ca else True
    client = httpx.Client(base_url=endpoint.origin, timeout=30.0, headers=HEADERS, trust_env=False, verify=verify)

    def call() -> object:
        return client.post(PATH, json=BODY).json()["sessionID"]

    return call


def pyreqwest_client(endpoint: Endpoint) -> Call:
    """Pyreqwest, a client written in Rust, with its own JSON."""
    from pyreqwest.client import SyncClientBuilder

    builder = SyncClientBuilder().default_headers(HEADERS)
    client = (builder.add_root_certificate_pem(endpoint.certificate()) if endpoint.ca else builder).build()
    url = f"{endpoint.origin}{PATH}"

    def call() -> object:
        return client.post(url).body_json(BODY).build().send().json()["sessionID"]

    return call


def elastic(endpoint: Endpoint) -> Call:
    """The transport of Elasticsearch's clients, on urllib3."""
    from elastic_transport import NodeConfig, Transport

    node = NodeConfig(
        scheme="https" if endpoint.ca else "http", host="127.0.0.1", port=endpoint.port, ca_certs=endpoint.ca or None
    )
    transport = Transport([node])

    def call() -> object:
        return transport.perform_request("POST", PATH, body=BODY, headers=HEADERS, request_timeout=30).body["sessionID"]

    return call


def openai_sdk(endpoint: Endpoint) -> Call:
    """The SDK of OpenAI, which Stainless generates: its call to a path of one's choice."""
    import httpx
    from openai import OpenAI

    http = httpx.Client(verify=endpoint.context()) if endpoint.ca else None
    client = OpenAI(api_key=KEY, base_url=f"{endpoint.origin}/v0", http_client=http)

    def call() -> object:
        return client.post(ROUTE, cast_to=dict[str, Any], body=BODY)["sessionID"]

    return call


def azure(endpoint: Endpoint) -> Call:
    """The pipeline of Azure's clients, with the policies that they begin with."""
    from azure.core import PipelineClient
    from azure.core.pipeline.policies import RetryPolicy
    from azure.core.rest import HttpRequest

    options = {"connection_verify": endpoint.ca} if endpoint.ca else {}
    client = PipelineClient(endpoint.origin, policies=azure_policies(RetryPolicy()), **options)
    url = f"{endpoint.origin}{PATH}"

    def call() -> object:
        return client.send_request(HttpRequest("POST", url, json=BODY)).json()["sessionID"]

    return call


def azure_policies(retry: object) -> list[Any]:
    from azure.core.pipeline.policies import HeadersPolicy, HttpLoggingPolicy, RequestIdPolicy, UserAgentPolicy

    return [RequestIdPolicy(), HeadersPolicy(HEADERS), UserAgentPolicy("benchmark/1.0"), retry, HttpLoggingPolicy()]


def official(endpoint: Endpoint) -> Call:
    """The official client of the API. It makes a new connection for each call, and knows tasks only."""
    from airplane.api.client import ClientOpts, api_client

    if endpoint.ca:
        os.environ["REQUESTS_CA_BUNDLE"] = endpoint.ca  # it makes its sessions itself
    client = api_client(ClientOpts(api_host=endpoint.origin, api_token=KEY, env_id="env1", team_id="tea1"))

    def call() -> object:
        return client.execute_task("hello_world", VALUES, {})

    return call
