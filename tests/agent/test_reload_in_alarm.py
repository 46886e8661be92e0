"""A rule edited or removed, a device retired, while in alarm: the centre's alarm ends with that reason, none stands."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from facility.alarms import EndReason
from server.alarms import repository
from server.alarms.models import Alarm
from server.app import Server
from server.kit.paging import PageRequest
from server.kit.scope import Scope
from tests.agent.notify.test_hand_over import RULE, centre
from tests.agent.running import running, ups, write_config
from tests.agent.test_end_to_end import ON_BATTERY
from tests.support.mosquitto import Mosquitto
from tests.support.peers import until_async
from tests.support.snmpd import Snmpd

# A UPS on battery is no longer what the edited rule alarms.
EDITED = {**RULE, "state": {"bypass": "major"}}


def configure(
    folder: Path, broker: Mosquitto, snmpd: Snmpd, *, rule: dict[str, Any], device: str, disable: bool, profile: str
) -> Path:
    (folder / "rules.yaml").write_text(yaml.safe_dump({"version": 1, "rules": [rule]}, allow_unicode=True))
    rules: dict[str, Any] = {"files": ["rules.yaml"], "disable": ["ups-on-battery"] if disable else []}
    watched = ups(snmpd.port, device=device) | {"profile": profile}
    return write_config(folder, broker=broker.url, devices=[watched], rules=rules, rooms=[{"id": "hall"}])


async def of_the_rule(server: Server) -> Sequence[Alarm]:
    async with server.db.read() as session:
        rows, _ = await repository.list_alarms(session, Scope.system(), PageRequest(limit=50), rule="ups-on-battery")
        return [row for row in rows if row.device == "ups-1"]


@pytest.mark.peer("mosquitto")
@pytest.mark.peer("snmpd")
@pytest.mark.parametrize("stopped", [False, True], ids=["by a reload", "while the agent is stopped"])
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"rule": EDITED}, EndReason.RULE_CHANGED),
        ({"disable": True}, EndReason.RULE_REMOVED),
        ({"device": "ups-2"}, EndReason.DEVICE_RETIRED),
        ({"profile": "apc/ats"}, EndReason.DEVICE_RETIRED),
    ],
)
async def test_an_alarm_ends_with_what_it_was_raised_by(
    tmp_path: Path, mosquitto: Mosquitto, snmpd: Snmpd, change: dict[str, Any], reason: EndReason, stopped: bool
) -> None:
    snmpd.serve(ON_BATTERY)
    before: dict[str, Any] = {"rule": RULE, "device": "ups-1", "disable": False, "profile": "ietf/ups-mib"}
    config = configure(tmp_path, mosquitto, snmpd, **before)
    async with centre(tmp_path, mosquitto) as server:

        async def stands() -> bool:
            return [row.active for row in await of_the_rule(server)] == [True]

        async def ended() -> bool:
            return [row.end_reason for row in await of_the_rule(server)] == [reason]

        async with running(config) as agent:
            await until_async(stands, timeout=30)
            if not stopped:
                configure(tmp_path, mosquitto, snmpd, **{**before, **change})
                agent.reload()
                await until_async(ended, timeout=30)
        if stopped:
            configure(tmp_path, mosquitto, snmpd, **{**before, **change})
            async with running(config):
                await until_async(ended, timeout=30)
