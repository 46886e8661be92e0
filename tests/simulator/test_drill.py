"""`coldaisle drill` and `python -m simulator` as programs, each in a process of its own."""

import asyncio
import json
import os
import re
import signal
import sys
from pathlib import Path

from simulator.app import RoomServer

REPOSITORY = Path(__file__).parents[2]


async def drill(*arguments: str, cwd: Path, simulator: str | None = None) -> tuple[int, str]:
    environment = {key: value for key, value in os.environ.items() if key != "COLDAISLE_SIMULATOR"}
    environment |= {"PYTHONPATH": str(REPOSITORY), "COLUMNS": "200"}
    if simulator:
        environment["COLDAISLE_SIMULATOR"] = simulator
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", "from coldaisle.drill import app; app()", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=environment,
        cwd=cwd,
    )
    output, _ = await process.communicate()
    return process.returncode or 0, output.decode()


async def test_a_drill_finds_the_room_by_option_environment_and_demo_file(room: RoomServer, tmp_path: Path) -> None:
    code, output = await drill("run", "sensor-lost", "--device", "th-04", "--simulator", room.url, cwd=tmp_path)
    assert code == 0, output
    assert "一个温湿度传感器失联" in output
    assert [(fault.name.value, fault.device) for fault in room.active_faults()] == [("sensor-lost", "th-04")]
    code, output = await drill("run", "water-leak", cwd=tmp_path, simulator=room.url)
    assert code == 0, output
    assert len(room.active_faults()) == 2
    (tmp_path / "demo-data").mkdir()
    (tmp_path / "demo-data" / "demo.json").write_text(json.dumps({"simulator_url": room.url}))
    code, output = await drill("run", "clear", cwd=tmp_path)
    assert code == 0, output
    assert room.active_faults() == []


async def test_the_list_names_every_drill_and_what_is_broken(room: RoomServer, tmp_path: Path) -> None:
    code, output = await drill("list", cwd=tmp_path)
    assert code == 0
    assert "mains-failure" in output
    assert "全站失电" in output
    await room.strike("door-open")
    code, output = await drill("list", cwd=tmp_path, simulator=room.url)
    assert code == 0
    assert "door-open since 20" in output


async def test_mistakes_are_explained(room: RoomServer, tmp_path: Path) -> None:
    code, output = await drill("run", "crac-failur", cwd=tmp_path, simulator=room.url)
    assert code == 2
    assert output.startswith("drill: there is no fault 'crac-failur'. Did you mean 'crac-failure'? Known faults: mains")
    code, output = await drill("run", "crac-failure", "--device", "crac-9", cwd=tmp_path, simulator=room.url)
    assert code == 1
    assert "Did you mean 'crac-1'?" in output or "It may strike: crac-1" in output
    code, output = await drill("run", "clear", cwd=tmp_path)
    assert code == 2
    assert "coldaisle demo" in output
    code, output = await drill("run", "clear", cwd=tmp_path, simulator="http://127.0.0.1:1")
    assert code == 1
    assert "cannot be reached" in output
    code, output = await drill("run", "clear", cwd=tmp_path, simulator="127.0.0.1:1")
    assert code == 2
    assert "COLDAISLE_SIMULATOR is '127.0.0.1:1'" in output


async def test_the_room_runs_as_a_program_and_ends_on_a_signal() -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "simulator", "run", "--speed", "5", "--seed", "3"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=os.environ | {"COLUMNS": "220"},
        cwd=REPOSITORY,
    )
    assert process.stdout is not None
    printed = ""
    async with asyncio.timeout(20):
        while "Control API" not in printed:
            line = await process.stdout.readline()
            assert line, printed
            printed += line.decode()
        assert re.search(r"th-12 .*127\.0\.0\.1:\d+ .*unit 12", printed)
        assert re.search(r"ups-2 .*v3 user=coldaisle-sim", printed)
        process.send_signal(signal.SIGTERM)
        rest = await process.stdout.read()
        assert await process.wait() == 0, rest.decode()
        assert b"Traceback" not in rest
