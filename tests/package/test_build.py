"""Built packages: what they contain, and that every build of one state of the code gives the same bytes."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from email.parser import HeaderParser
from pathlib import Path

import pytest

pytestmark = pytest.mark.package

ROOT = Path(__file__).parents[2]
LONG_AGO = 1_000_000_000  # seconds since 1970: no time at which these files were written


def only(folder, pattern):
    (found,) = folder.glob(pattern)
    return found


@pytest.fixture(scope="module")
def sdist():
    return only(ROOT / "dist", "*.tar.gz")


@pytest.fixture(scope="module")
def wheel():
    return only(ROOT / "dist", "*.whl")


@pytest.fixture
def unpacked(sdist, tmp_path):
    """The source distribution in a folder that others cannot read, and as old as no checkout."""
    before = os.umask(0o077)
    try:
        with tarfile.open(sdist) as archive:
            archive.extractall(tmp_path, filter="tar")
    finally:
        os.umask(before)
    folder = tmp_path / sdist.name.removesuffix(".tar.gz")
    for path in folder.rglob("*"):
        path.chmod(path.stat().st_mode & 0o700)
        os.utime(path, (LONG_AGO, LONG_AGO))
    return folder


def build(source, to, *options):
    """Build with another umask and time zone than that of the session `build`."""
    command = (sys.executable, "-m", "build", "--no-isolation", "--outdir", str(to), *options, str(source))
    env = {**os.environ, "TZ": "Asia/Tokyo"}
    result = subprocess.run(command, env=env, umask=0o077, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def digest(path):
    return path.name, hashlib.sha256(path.read_bytes()).hexdigest()


def members(sdist):
    """Return the names of all files in a source distribution, without the folder around them."""
    with tarfile.open(sdist) as archive:
        return {member.name.partition("/")[2] for member in archive if not member.isdir()}


def read(wheel, name):
    """Return the text of a file in the folder of metadata."""
    with zipfile.ZipFile(wheel) as archive:
        (path,) = (one for one in archive.namelist() if one.endswith(f".dist-info/{name}"))
        return archive.read(path).decode()


def test_a_build_out_of_the_source_distribution_is_the_same(unpacked, sdist, wheel, tmp_path):
    build(unpacked, tmp_path / "again")

    assert digest(only(tmp_path / "again", "*.tar.gz")) == digest(sdist)
    assert digest(only(tmp_path / "again", "*.whl")) == digest(wheel)


def test_a_wheel_built_right_out_of_the_checkout_is_the_same(wheel, tmp_path):
    build(ROOT, tmp_path, "--wheel")

    assert digest(only(tmp_path, "*.whl")) == digest(wheel)


@pytest.mark.skipif(not (ROOT / ".git").exists() or not shutil.which("git"), reason="needs a checkout of git")
def test_the_source_distribution_is_the_repository(sdist):
    command = ("git", "-c", f"safe.directory={ROOT}", "ls-files", "-z")
    tracked = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")

    assert members(sdist) == {*filter(None, tracked), "PKG-INFO"}


def test_the_wheel_contains_the_package_and_its_metadata_alone(wheel):
    sources = {
        path.relative_to(ROOT / "src").as_posix()
        for path in (ROOT / "src").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    metadata = wheel.name.rsplit("-", 3)[0] + ".dist-info"
    described = {"METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE"}

    with zipfile.ZipFile(wheel) as archive:
        expected = {*described, "sboms/airplane-runbooks.cdx.json"}
        assert set(archive.namelist()) == sources | {f"{metadata}/{name}" for name in expected}


def test_the_wheels_bill_of_materials_keeps_cyclonedxs_schema(wheel):
    from cyclonedx.schema import SchemaVersion  # late: other sessions collect this test and have no such package
    from cyclonedx.validation.json import JsonStrictValidator

    validator = JsonStrictValidator(SchemaVersion.V1_7)

    assert validator.validate_str(read(wheel, "sboms/airplane-runbooks.cdx.json")) is None
    assert validator.validate_str('{"bomFormat": "CycloneDX", "specVersion": "1.7", "version": 0}') is not None


def test_a_package_index_takes_the_metadata_and_the_readme(sdist, wheel):
    command = (sys.executable, "-m", "twine", "check", "--strict", str(sdist), str(wheel))
    result = subprocess.run(command, capture_output=True, text=True, check=False)

    assert result.returncode == 0, result.stdout + result.stderr


def test_the_metadata_claim_no_system_that_was_not_tried(wheel):
    stated = HeaderParser().parsestr(read(wheel, "METADATA")).get_all("Classifier", [])

    assert [one for one in stated if one.startswith("Operating System")] == ["Operating System :: POSIX :: Linux"]
