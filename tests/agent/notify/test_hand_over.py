"""A mains failure while the broker is gone: told from the site, and not a second time when the link is back."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
import yaml

from facility.clock import SystemClock
from server.app import Server, build
from server.config import load_config
from server.kit.paging import PageRequest
from server.kit.principal import Role
from server.kit.scope import Scope
from server.notify import handover, repository
from server.notify.recipients import NotificationState
from tests.agent import running as agents
from tests.agent.running import running, ups, write_config
from tests.agent.test_end_to_end import HEALTHY, ON_BATTERY
from tests.server.factories import make_user
from tests.server.notify.sink import Sink
from tests.support.mosquitto import Mosquitto
from tests.support.peers import until_async
from tests.support.snmpd import Snmpd

# The library's rule without its delays.
RULE = {
    "id": "ups-on-battery",
    "title": {"en": "UPS on battery", "zh": "UPS 电池供电"},
    "metric": "ups.output.source",
    "state": {"battery": "major"},
    "source": "editable default",
}


@asynccontextmanager
async def centre(folder: Path, broker: Mosquitto) -> AsyncIterator[Server]:
    settings = {
        "data_dir": str(folder / "centre"),
        "http": {"port": 0},
        "mqtt": {"host": broker.host, "port": broker.port, "auto_enrol": True},
    }
    async with build(load_config(overrides=settings, environment={}), clock=SystemClock(asyncio.sleep)) as server:
        task = asyncio.create_task(server.run())
        try:
            await server.started.wait()
            yield server
        finally:
            server.stop()
            await task


async def states(server: Server) -> list[NotificationState]:
    async with server.db.read() as session:
        rows, _ = await repository.list_notifications(session, Scope.system(), PageRequest(limit=100))
        return sorted(row.state for row in rows)


@pytest.mark.peer("mosquitto")
@pytest.mark.peer("snmpd")
async def test_what_was_told_on_site_is_not_told_to_the_same_channel_again(
    tmp_path: Path, mosquitto: Mosquitto, snmpd: Snmpd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handover, "WAIT", timedelta(seconds=2))
    monkeypatch.setattr(handover, "LATE", timedelta(seconds=2))
    snmpd.serve(HEALTHY)
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"version": 1, "rules": [RULE]}, allow_unicode=True))
    with Sink() as oncall, Sink() as office:
        monkeypatch.setitem(agents.ENVIRON, "ONCALL", oncall.url)
        config = write_config(
            tmp_path,
            broker=mosquitto.url,
            devices=[ups(snmpd.port)],
            rooms=[{"id": "hall", "name": {"zh": "主机房"}}],
            rules={"files": ["rules.yaml"]},
            notify={"channels": [{"name": "oncall", "url": {"env": "ONCALL"}, "language": "zh_CN"}], "after": "2s"},
        )
        async with centre(tmp_path, mosquitto) as server, running(config) as agent:
            for sink in (oncall, office):
                await make_user(server, Role.NOC, notify_url=sink.url)
            await until_async(lambda: agent.figures.answers["committed"] >= 3, timeout=30)
            mosquitto.stop()
            snmpd.serve(ON_BATTERY)
            await until_async(lambda: len(oncall.messages) == 1, timeout=30)
            assert oncall.messages[0]["title"] == "【二级 重要】告警:不间断电源1:UPS 电池供电"
            assert "与中心失去联系" in oncall.messages[0]["message"]
            assert "机房:主机房" in oncall.messages[0]["message"]
            mosquitto.start()
            await until_async(lambda: len(office.messages) == 1, timeout=60)
            assert "Already told on site" in office.messages[0]["message"]

            async def settled() -> bool:
                return await states(server) == [NotificationState.SENT, NotificationState.SKIPPED]

            await until_async(settled, timeout=20)
            snmpd.serve(HEALTHY)
            await until_async(lambda: agent.figures.alarm_events["ended"] == 1, timeout=20)
            await until_async(lambda: agent.figures.notices["centre_has_it"] == 1, timeout=20)
        assert len(oncall.messages) == 1
        assert agent.figures.notices["told"] == 1
