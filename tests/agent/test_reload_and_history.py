"""SIGHUP's work on a running agent, and the local history read beside it."""

import asyncio
import json
from pathlib import Path

import httpx
import pytest
import yaml
from typer.testing import CliRunner

from agent.cli import app
from tests.agent.counting import counting_gateway, units, write_profile
from tests.agent.running import running, write_config
from tests.support.peers import free_port, until_async


def change(config: Path, **sections: object) -> None:
    data = yaml.safe_load(config.read_text())
    data.update(sections)
    config.write_text(yaml.safe_dump(data))


async def test_reload_takes_changes_keeps_the_rest_and_refuses_the_bad(tmp_path: Path) -> None:
    async with counting_gateway() as gateway:
        config = write_config(
            tmp_path, devices=units(gateway.port, 1), profiles={"folders": [str(write_profile(tmp_path))]}
        )
        async with running(config) as agent:
            await until_async(lambda: gateway.reads[1] >= 1)
            stream, catalog = agent.journal.stream, agent.journal.catalog

            agent.reload()
            await until_async(lambda: agent.figures.reloads["unchanged"] == 1)
            assert agent.journal.catalog == catalog

            change(config, devices=[{**units(gateway.port, 1)[0], "intervall": "1s"}])
            agent.reload()
            await until_async(lambda: agent.figures.reloads["refused"] == 1)
            reads = gateway.reads[1]
            await until_async(lambda: gateway.reads[1] > reads, what="polling by the last good configuration")

            change(config, devices=units(gateway.port, 2))
            agent.reload()
            await until_async(lambda: agent.figures.reloads["changed"] == 1)
            await until_async(lambda: gateway.reads[2] >= 1)
            assert agent.journal.catalog != catalog
            assert agent.journal.stream == stream, "the journal is never opened anew by a reload"

            change(config, devices=units(gateway.port, 2)[1:])
            agent.reload()
            await until_async(lambda: agent.figures.reloads["changed"] == 2)
            async with httpx.AsyncClient() as client:
                text = (await client.get(agent.metrics_url)).text
            assert 'device="unit-2"' in text
            assert 'device="unit-1"' not in text


async def test_one_dead_unit_delays_nobody_and_its_series_end(tmp_path: Path) -> None:
    async with counting_gateway() as gateway:
        dead = {**units(free_port(), 3)[2], "address": "127.0.0.1"}
        config = write_config(
            tmp_path,
            devices=[*units(gateway.port, 2), dead],
            profiles={"folders": [str(write_profile(tmp_path))]},
        )
        async with running(config) as agent:
            await until_async(lambda: min(gateway.reads[1], gateway.reads[2]) >= 4)
            async with httpx.AsyncClient() as client:
                text = (await client.get(agent.metrics_url)).text
        assert 'coldaisle_device_up{device="unit-1",site="s1"} 1.0' in text
        assert 'coldaisle_device_up{device="unit-3",site="s1"} 0.0' in text
        assert "coldaisle_agent_missed_slots_total 0.0" in text
        assert not [line for line in text.splitlines() if "unmapped" in line and 'device="unit-3"' in line]


def test_history_and_journal_from_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMMUNITY", "public")

    async def work() -> Path:
        async with counting_gateway() as gateway:
            config = write_config(
                tmp_path, devices=units(gateway.port, 1), profiles={"folders": [str(write_profile(tmp_path))]}
            )
            async with running(config):
                await until_async(lambda: gateway.reads[1] >= 3)
            return config

    config = asyncio.run(work())
    runner = CliRunner()
    asked = ["history", "--config", str(config), "--device", "unit-1", "--metric", "unmapped.test.p000"]
    result = runner.invoke(app, [*asked, "--json"])
    assert result.exit_code == 0, result.output
    values = [json.loads(line)["value"] for line in result.stdout.splitlines()]
    assert values[:3] == [1.0, 2.0, 3.0]
    assert "unmapped.test.p000  1\n" in runner.invoke(app, asked).stdout
    assert "no readings" in runner.invoke(app, [*asked, "--from", "3d", "--to", "2d"]).output
    assert runner.invoke(app, [*asked, "--from", "yesterday"]).exit_code == 2
    assert "did you mean" in runner.invoke(app, [*asked[:-1], "room.temprature"]).output

    result = runner.invoke(app, ["journal", "--config", str(config), "--json"])
    status = json.loads(result.stdout)
    assert status["kinds"]["readings"]["unsent"] == status["kinds"]["readings"]["blocks"] > 0
    assert status["drops"] == {}
    assert "readings" in runner.invoke(app, ["journal", "--config", str(config)]).stdout
    missing = runner.invoke(app, ["journal", "--journal", str(tmp_path / "nothing.db")])
    assert (missing.exit_code, "there is no journal" in missing.output) == (1, True)
