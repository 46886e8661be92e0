"""Writes `deploy/grafana/dashboards/*.json`: `python -m deploy.grafana.make_dashboards` from the top of the tree.

Every metric name comes from the register or from the agent's own list, so a renamed metric breaks this script and its
test, not a dashboard in somebody's control room.
"""

from pathlib import Path

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.cog.encoder import JSONEncoder

from deploy.grafana.panels import (
    AGENT_INFO,
    FULL,
    HALF,
    INFO,
    THIRD,
    board,
    choice,
    curves,
    device_table,
    figure,
    metric_curves,
    of_agents,
    query,
    state_band,
)
from facility.metrics import metric

FOLDER = Path(__file__).parent / "dashboards"


def room_choice() -> dashboard.QueryVariable:
    return choice("room", "机房 Room", f'label_values({INFO}{{site=~"$site"}}, room)')


def device_choice(kind: str) -> dashboard.QueryVariable:
    return choice("device", "设备 Device", f'label_values({INFO}{{site=~"$site",kind="{kind}"}}, device)')


def noc_overview() -> dashboard.Dashboard:
    temperature, humidity = metric("room.temperature").prometheus_name, metric("room.humidity").prometheus_name
    cold = f'* on (site, device) group_left (zone) {INFO}{{site=~"$site",zone="cold-aisle"}}'
    active = {
        severity: "sum(" + of_agents("coldaisle_agent_alarms_active", where=f'severity="{severity}"') + ")"
        for severity in ("critical", "major", "minor")
    }
    made = board("coldaisle-noc", "Coldaisle 监控总览 NOC overview")
    for heading, expression in (
        ("一级告警 Critical", active["critical"]),
        ("二级告警 Major", active["major"]),
        ("三级告警 Minor", active["minor"]),
        ("在线设备 Devices up", 'sum(coldaisle_device_up{site=~"$site"})'),
        ("通信中断 Devices lost", 'count(coldaisle_device_up{site=~"$site"} == 0) or vector(0)'),
        ("采集值/s Values a second", f"sum({of_agents('coldaisle_agent_readings_total', over='5m')})"),
    ):
        made = made.with_panel(figure(heading, expression))
    for heading, name, unit, folds in (
        ("冷通道温度 Cold-aisle temperature", temperature, "celsius", ("max", "avg")),
        ("冷通道湿度 Cold-aisle humidity", humidity, "percent", ("avg",)),
    ):
        expressions = [
            query(f'{fold} by (site) ({name}{{site=~"$site"}} {cold})', f"{{{{site}}}} {fold}") for fold in folds
        ]
        made = made.with_panel(curves(heading, expressions, unit=unit))
    for name in ("ups.output.load", "ups.battery.charge"):
        made = made.with_panel(metric_curves(name, of="site"))
    for name in ("ups.output.source", "device.communication"):
        made = made.with_panel(state_band(name, of="site", span=HALF))
    columns = {
        "site": "站点 Site",
        "device": "设备 Device",
        "name_zh": "名称",
        "name": "Name",
        "kind": "类型 Kind",
        "room": "机房 Room",
        "zone": "区域 Zone",
        "model": "型号 Model",
        "Value": "在线 Up",
    }
    joined = f'{INFO}{{site=~"$site"}} * on (site, device) group_left () coldaisle_device_up'
    return made.with_panel(device_table("设备 Devices", joined, columns))


def room_environment() -> dashboard.Dashboard:
    made = board("coldaisle-room", "Coldaisle 机房环境 Room environment").with_variable(room_choice())
    for name, span in (
        ("room.temperature", HALF), ("room.humidity", HALF), ("room.pressure.differential", THIRD),
        ("air.pressure.barometric", THIRD), ("room.dew_point", THIRD),
    ):  # fmt: skip
        made = made.with_panel(metric_curves(name, of="room", span=span))
    for name in ("leak.state", "door.state", "smoke.state"):
        made = made.with_panel(state_band(name, of="room", span=THIRD))
    return made


def ups() -> dashboard.Dashboard:
    made = board("coldaisle-ups", "Coldaisle UPS").with_variable(device_choice("ups"))
    for name in ("ups.output.source", "ups.battery.state"):
        made = made.with_panel(state_band(name, span=HALF))
    for name in (
        "ups.output.load", "ups.battery.charge", "ups.battery.runtime", "ups.battery.temperature",
        "ups.battery.voltage", "ups.input.voltage", "ups.output.voltage", "ups.output.current", "ups.input.frequency",
    ):  # fmt: skip
        made = made.with_panel(metric_curves(name, span=THIRD))
    return made


def crac() -> dashboard.Dashboard:
    made = board("coldaisle-crac", "Coldaisle 精密空调 CRAC").with_variable(device_choice("crac"))
    made = made.with_panel(state_band("crac.alarm.state"))
    for name in ("crac.return_air.temperature", "crac.supply_air.temperature", "crac.return_air.humidity",
                 "crac.temperature.setpoint"):  # fmt: skip
        made = made.with_panel(metric_curves(name))
    return made.with_panel(state_band("crac.cooling.state"))


def agent_health() -> dashboard.Dashboard:
    made = board("coldaisle-agent", "Coldaisle 采集代理 Agent health")
    for heading, expression, unit in (
        ("上行连接 Uplink connected", f"min({of_agents('coldaisle_agent_uplink_connected')})", "none"),
        ("未发送数据块 Unsent blocks", f"sum({of_agents('coldaisle_agent_unsent_blocks')})", "none"),
        ("最旧未发送 Oldest unsent", f"max({of_agents('coldaisle_agent_oldest_unsent_seconds')})", "s"),
        ("日志库大小 Journal size", f"sum({of_agents('coldaisle_agent_journal_used_bytes')})", "bytes"),
    ):
        made = made.with_panel(figure(heading, expression, unit=unit, span=6))
    for heading, name in (
        ("采集值 Readings", "coldaisle_agent_readings_total"),
        ("轮询 Polls", "coldaisle_agent_polls_total"),
        ("错过的周期 Missed slots", "coldaisle_agent_missed_slots_total"),
        ("丢弃 Drops", "coldaisle_agent_dropped_total"),
    ):
        # A counter that has never counted has no series: nothing dropped must read as 0, not as "no data".
        none_yet = f'sum by (site, agent) ({AGENT_INFO}{{site=~"$site"}} * 0)'
        total = f"sum by (site, agent) ({of_agents(name, over='5m')})"
        queries = [query(f"{total} or {none_yet}", "{{site}} {{agent}}")]
        made = made.with_panel(curves(f"{heading}/s", queries, unit="none", decimals=2))
    seconds = {part: of_agents(f"coldaisle_agent_poll_seconds_{part}", over="5m") for part in ("sum", "count")}
    polls = [query(f"sum by (site, agent) ({seconds['sum']}) / sum by (site, agent) ({seconds['count']})",
                   "{{site}} {{agent}}")]  # fmt: skip
    return made.with_panel(curves("轮询平均耗时 Mean poll time", polls, unit="s", span=FULL, decimals=3))


DASHBOARDS = {
    "noc-overview": noc_overview,
    "room-environment": room_environment,
    "ups": ups,
    "crac": crac,
    "agent-health": agent_health,
}


def text_of(name: str) -> str:
    """The JSON of a dashboard as it is written to its file."""
    return JSONEncoder(sort_keys=True, indent=2, ensure_ascii=False).encode(DASHBOARDS[name]().build()) + "\n"


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for name in DASHBOARDS:
        (FOLDER / f"{name}.json").write_text(text_of(name), encoding="utf-8")


if __name__ == "__main__":
    main()
