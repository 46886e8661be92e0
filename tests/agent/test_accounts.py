"""What polling costs is accounted per device, and readings that are no value are counted by why."""

from pathlib import Path

import httpx
import yaml

from agent.figures import Figures
from collectors.exchange import PollOutcome, PollProblem
from facility.items import decode_events
from facility.reading import QualityReason
from facility.wire import Kind, decode
from tests.agent.running import running, write_config
from tests.collectors.speaking.gateway import Frame, Say, odd_gateway
from tests.support.peers import until_async

PROFILE = {
    "title": {"en": "Sensor", "zh": "传感器"},
    "vendor": "test",
    "model": "sensor",
    "kind": "environment",
    "protocol": "modbus",
    "maturity": "documented",
    "provenance": "made for the tests of the agent",
    "modbus": {"gap": 0},
    "points": [
        {"metric": "room.temperature", "from": {"holding": 0, "unit": "Cel", "sentinels": [32767]}},
        {"metric": "room.humidity", "from": {"holding": 1, "unit": "%"}},
        {"metric": "room.dew_point", "from": {"holding": 2, "unit": "Cel"}},
    ],
}


async def test_bad_readings_and_the_cost_of_each_device_are_shown(tmp_path: Path) -> None:
    async def reply(frame: Frame, say: Say) -> None:
        await say(frame.answer(values=[32767, 30_000, 12][frame.address : frame.address + frame.count]))

    target = tmp_path / "profiles" / "test" / "sensor.yaml"
    target.parent.mkdir(parents=True)
    target.write_text(yaml.safe_dump(PROFILE, allow_unicode=True))
    async with odd_gateway(reply) as (port, heard):
        device = {"id": "th-1", "profile": "test/sensor", "address": "127.0.0.1", "port": port, "interval": "1s"}
        config = write_config(tmp_path, devices=[device], profiles={"folders": ["profiles"]})
        async with running(config) as agent, httpx.AsyncClient() as client:
            await until_async(lambda: agent.figures.polls["ok"] >= 2)
            text = (await client.get(agent.metrics_url)).text
            polls = agent.figures.polls["ok"]
    shown = {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in text.splitlines() if line[0] != "#"}
    bad = {key: count for key, count in shown.items() if key.startswith("coldaisle_agent_bad_readings_total")}
    assert set(bad) == {f'coldaisle_agent_bad_readings_total{{reason="{reason}"}}' for reason in QualityReason}
    assert 2 <= bad['coldaisle_agent_bad_readings_total{reason="sentinel"}'] <= polls
    assert 2 <= bad['coldaisle_agent_bad_readings_total{reason="out_of_range"}'] <= polls
    assert bad['coldaisle_agent_bad_readings_total{reason="timeout"}'] == 0
    of = '{device="th-1",site="s1"}'
    assert 2 <= shown[f"coldaisle_device_polls_total{of}"] <= polls
    assert shown[f"coldaisle_device_requests_total{of}"] == shown[f"coldaisle_device_polls_total{of}"] <= len(heard)
    assert 0 < shown[f"coldaisle_device_last_poll_seconds{of}"] <= shown[f"coldaisle_device_poll_seconds_total{of}"]
    assert shown[f"coldaisle_device_overruns_total{of}"] == shown[f"coldaisle_device_missed_slots_total{of}"] == 0


async def test_points_beyond_the_bound_are_told_to_the_centre_and_shown(tmp_path: Path) -> None:
    device = {"id": "th-1", "profile": "generic/xy-md02", "address": "127.0.0.1", "port": 1, "interval": "1h"}
    async with running(write_config(tmp_path, devices=[device])) as agent, httpx.AsyncClient() as client:
        for _ in range(3):
            agent._pipeline.take(PollOutcome("th-1", 0, 0.1, 1, (), left_out=12))
        await agent.journal.commit()
        text = (await client.get(agent.metrics_url)).text
        blocks = await agent.journal.unsent(Kind.EVENTS, limit=10)
    assert 'coldaisle_device_points_left_out{device="th-1",site="s1"} 12.0' in text
    events = [event for stored in blocks for event in decode_events(decode(stored.block.payload()).items)[0]]
    (told,) = [event for event in events if event.detail.get("what") == "too_many_points"]
    assert told.detail == {"what": "too_many_points", "reason": "th-1", "left_out": "12", "most": "5000"}


def test_a_poll_past_its_interval_is_an_overrun_and_who_is_gone_is_forgotten() -> None:
    figures = Figures()
    figures.configure({"a": 1000, "b": 1000})
    figures.polled(PollOutcome("a", 0, 1.5, 3, ()))
    figures.polled(PollOutcome("a", 0, 0.5, 2, ()))
    figures.polled(PollOutcome("a", 0, 0.0, 0, (), PollProblem.BACKING_OFF))
    figures.polled(PollOutcome("a", 0, 5.0, 0, (), PollProblem.HELD_BACK))
    assert (figures.devices["a"].missed_slots, figures.polls["held_back"]) == (1, 1)
    figures.missed("a", 1)
    figures.missed("gone", 1)
    figures.configure({"a": 2000})
    account = figures.devices["a"]
    assert (account.polls, account.seconds, account.last_s, account.requests) == (2, 2.0, 0.5, 5)
    assert (account.overruns, account.missed_slots, account.interval_s) == (1, 2, 2.0)
    assert set(figures.devices) == {"a"}
    assert figures.missed_slots == 3
