"""An S3 server for tests: moto's, in a process of its own on this machine, with the usual variables that lead to it."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator

from tests.make.waiting import free_port, until_it_answers

KEYS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}


@contextlib.contextmanager
def server() -> Iterator[dict[str, str]]:
    """Run a server until the block ends.

    Returns:
        The environment variables that lead to it.
    """
    port = free_port()
    command = [sys.executable, "-c", "from moto.server import main; main()", "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    try:
        until_it_answers(f"{address}/moto-api/", process)
        yield {**KEYS, "AWS_ENDPOINT_URL": address}
    finally:
        process.terminate()
        process.wait(30)


@contextlib.contextmanager
def reachable() -> Iterator[dict[str, str]]:
    """Run a server, and set the variables that lead to it in this process and those that it starts."""
    with server() as variables:
        before = {name: os.environ.get(name) for name in variables}
        os.environ.update(variables)
        try:
            yield variables
        finally:
            for name, value in before.items():
                os.environ.pop(name, None)
                if value is not None:
                    os.environ[name] = value


def bucket(name: str) -> str:
    """Make a bucket on the server that the environment leads to; gives its address."""
    import boto3

    boto3.client("s3").create_bucket(Bucket=name)
    return f"s3://{name}"
