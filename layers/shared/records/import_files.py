"""What a user's requests up to a moment have left in the bucket of imports."""

from collections.abc import Iterator, Sequence
from typing import Any

from records.imports import File, find_job, make_file_key


def find_files(client: Any, bucket: str, subject: str, before: int) -> Iterator[str]:
    """Yield the keys of the user's files in ascending order, except those of imports that were requested later.

    The import of a file exists before the file does. So a file without one belongs to an import that is erased.

    Args:
        client: a boto3 client of S3.
        bucket: the bucket's name.
        subject: the user.
        before: milliseconds since 1970.
    """
    prefix = make_file_key(subject, "")
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for found in page.get("Contents", ()):
            key = str(found["Key"])
            job = find_job(File(subject, key.removeprefix(prefix)))
            if job is None or job["writer"]["at"] <= before:
                yield key


def delete_files(client: Any, bucket: str, keys: Sequence[str]) -> None:
    """Delete up to 1,000 files.

    Raises:
        OSError: S3 did not delete all of them.
    """
    answer = client.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key} for key in keys], "Quiet": True})
    if errors := answer.get("Errors"):
        raise OSError(f"{len(errors)} files are not deleted: {errors[0].get('Code')}")
