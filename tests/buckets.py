"""A real S3 protocol on a free port of this machine, with a bucket in it; it can be taken away and come back."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
import pytest
import s3fs
from moto.server import ThreadedMotoServer


class Bucket:
    """A bucket, and the server that has it. The libraries find it by the environment alone, as they would find Amazon's."""

    def __init__(self) -> None:
        self._server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        self._server.start()
        self.port = self._server.get_host_and_port()[1]
        self.variables = {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.port}",
            "AWS_ACCESS_KEY_ID": "a-key",
            "AWS_SECRET_ACCESS_KEY": "a-secret",
            "AWS_DEFAULT_REGION": "eu-central-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        self.name = f"models-{uuid.uuid4().hex[:8]}"
        self.url = f"s3://{self.name}/team"

    def client(self) -> Any:
        """Return who looks into the bucket past Treadle."""
        return boto3.client("s3", endpoint_url=self.variables["AWS_ENDPOINT_URL"])

    def create(self) -> None:
        """Make the bucket."""
        self.client().create_bucket(Bucket=self.name, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})

    def names(self) -> list[str]:
        """Return the keys of all objects."""
        return [item["Key"] for item in self.client().list_objects_v2(Bucket=self.name).get("Contents", [])]

    def flip(self, key: str) -> None:
        """Flip one bit in the middle of an object."""
        content = bytearray(self.client().get_object(Bucket=self.name, Key=key)["Body"].read())
        content[len(content) // 2] ^= 1
        self.client().put_object(Bucket=self.name, Key=key, Body=bytes(content))

    def go_away(self) -> None:
        """Let nobody answer at the address."""
        self._server.stop()

    def come_back(self) -> None:
        """Answer at the same address again, with the same objects."""
        self._server = ThreadedMotoServer(ip_address="127.0.0.1", port=self.port, verbose=False)
        self._server.start()


@contextmanager
def bucket() -> Iterator[Bucket]:
    """Yield an empty bucket, which this process and those that it starts find by the environment."""
    with pytest.MonkeyPatch.context() as patch:
        made = Bucket()
        for name, value in made.variables.items():
            patch.setenv(name, value)
        s3fs.S3FileSystem.clear_instance_cache()  # it would go on asking the server of an earlier test
        try:
            made.create()
            yield made
        finally:
            made.go_away()
