"""The building blocks of the dashboards: queries joined with device names, panels in one style, state colours."""

from collections.abc import Sequence

from grafana_foundation_sdk.builders import dashboard, prometheus, stat, statetimeline, table, timeseries
from grafana_foundation_sdk.builders.common import (
    ReduceDataOptions,
    VizLegendOptions,
    VizTooltipOptions,
)
from grafana_foundation_sdk.models.common import (
    BigValueColorMode,
    BigValueGraphMode,
    LegendDisplayMode,
    LegendPlacement,
    SortOrder,
    TooltipDisplayMode,
    VisibilityMode,
)
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DataSourceRef,
    DynamicConfigValue,
    FieldColorModeId,
    Threshold,
    ThresholdsMode,
    ValueMap,
    ValueMappingResult,
    VariableHide,
    VariableRefresh,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from facility.metrics import Metric, metric
from facility.states import Tone
from facility.units import Unit

SOURCE = DataSourceRef(type_val="prometheus", uid="coldaisle-prometheus")
INFO = "coldaisle_device_info"
AGENT_INFO = "coldaisle_agent_info"
# Grafana's own unit ids for our base units.
UNITS = {
    Unit.CELSIUS: "celsius", Unit.PERCENT: "percent", Unit.PASCAL: "pressurepa", Unit.VOLT: "volt", Unit.AMPERE: "amp",
    Unit.WATT: "watt", Unit.VOLTAMPERE: "voltamp", Unit.HERTZ: "hertz", Unit.SECOND: "s", Unit.WATTHOUR: "watth",
    Unit.CUBIC_METRE_PER_HOUR: "m3h", Unit.RPM: "rotrpm",
}  # fmt: skip
TONES = {Tone.GOOD: "green", Tone.NEUTRAL: "blue", Tone.WARNING: "yellow", Tone.BAD: "red"}
# The panel grid of Grafana is 24 columns wide.
THIRD, HALF, FULL = 8, 12, 24


def series(name: str, *, where: str = "", of: str = "device") -> str:
    """The metric of the chosen sites, with its device's name, room and zone joined on.

    `of` limits the devices: by the dashboard's `room` or `device` variable, or by `site` alone.
    """
    chosen = 'site=~"$site"' + {"room": ',room=~"$room"', "device": ',device=~"$device"', "site": ""}[of]
    point = metric(name).prometheus_name
    return (
        f'{point}{{site=~"$site"{"," + where if where else ""}}}'
        f" * on (site, device) group_left (name, name_zh, room, zone) {INFO}{{{chosen}}}"
    )


def of_agents(name: str, *, where: str = "", over: str = "") -> str:
    """One of the agents' own figures, of the chosen sites, with site and agent joined on; `over` makes it a rate."""
    figure_ = f"{name}{{{where}}}"
    if over:
        figure_ = f"rate({figure_}[{over}])"
    return f'{figure_} * on (job, instance) group_left (site, agent) {AGENT_INFO}{{site=~"$site"}}'


def query(expression: str, legend: str = "{{name_zh}} {{subject}}", *, instant: bool = False) -> prometheus.Dataquery:
    built = prometheus.Dataquery().datasource(SOURCE).expr(expression).legend_format(legend)
    return built.instant().format(PromQueryFormat.TABLE) if instant else built.range()


def title(entry: Metric) -> str:
    return f"{entry.zh} {entry.en}"


def limits(*steps: tuple[float | None, str]) -> dashboard.ThresholdsConfig:
    """Coloured limits; the first step's value is None, the colour below the first limit."""
    return (
        dashboard.ThresholdsConfig()
        .mode(ThresholdsMode.ABSOLUTE)
        .steps([Threshold(value=value, color=colour) for value, colour in steps])
    )


def curves(
    heading: str, queries: Sequence[prometheus.Dataquery], *, unit: str, span: int = HALF, decimals: int = 1
) -> timeseries.Panel:
    """Lines over time; gaps stay gaps, as an unplugged sensor must not look like a steady one."""
    panel = (
        timeseries.Panel()
        .title(heading)
        .datasource(SOURCE)
        .unit(unit)
        .decimals(decimals)
        .span(span)
        .height(9)
        .line_width(1.5)
        .fill_opacity(4)
        .show_points(VisibilityMode.NEVER)
        .span_nulls(False)
        .legend(
            VizLegendOptions()
            .display_mode(LegendDisplayMode.TABLE)
            .placement(LegendPlacement.BOTTOM)
            .show_legend(True)
            .calcs(["lastNotNull", "min", "max"])
        )
        .tooltip(VizTooltipOptions().mode(TooltipDisplayMode.MULTI).sort(SortOrder.DESCENDING))
    )
    for one in queries:
        panel = panel.with_target(one)
    return panel


def metric_curves(name: str, *, where: str = "", of: str = "device", span: int = HALF) -> timeseries.Panel:
    """The curves of one metric of the register, titled and in its unit."""
    entry = metric(name)
    return curves(
        title(entry),
        [query(series(name, where=where, of=of))],
        unit=UNITS.get(entry.unit, "none"),
        decimals=entry.decimals,
        span=span,
    )


def figure(heading: str, expression: str, *, unit: str = "none", span: int = 4, decimals: int = 0) -> stat.Panel:
    """One number with its recent course."""
    return (
        stat.Panel()
        .title(heading)
        .datasource(SOURCE)
        .unit(unit)
        .decimals(decimals)
        .span(span)
        .height(5)
        .color_mode(BigValueColorMode.BACKGROUND)
        .graph_mode(BigValueGraphMode.AREA)
        .reduce_options(ReduceDataOptions().calcs(["lastNotNull"]))
        .with_target(query(expression, ""))
    )


def state_band(name: str, *, of: str = "device", span: int = FULL) -> statetimeline.Panel:
    """The words of a state metric over time, coloured by tone; words and codes come from the register."""
    entry = metric(name)
    if entry.states is None:
        raise ValueError(f"{name} has no states")
    words = {
        str(state.code): ValueMappingResult(text=f"{state.zh} {state.en}", color=TONES[state.tone], index=position)
        for position, state in enumerate(entry.states.states)
    }
    return (
        statetimeline.Panel()
        .title(title(entry))
        .datasource(SOURCE)
        .span(span)
        .height(7)
        .mappings([ValueMap(options=words)])
        .color_scheme(dashboard.FieldColor().mode(FieldColorModeId.THRESHOLDS))
        .merge_values(True)
        .with_target(query(series(name, of=of)))
    )


def device_table(heading: str, expression: str, columns: dict[str, str], *, span: int = FULL) -> table.Panel:
    """A table of an instant query; `columns` maps label to heading, every other label is hidden."""
    panel = table.Panel().title(heading).datasource(SOURCE).span(span).height(10)
    panel = panel.with_target(query(expression, "", instant=True))
    for label, shown in columns.items():
        panel = panel.override_by_name(label, [DynamicConfigValue(id_val="displayName", value=shown)])
    hidden = "/^(?!(" + "|".join(columns) + ")$).*/"
    return panel.override_by_regexp(hidden, [DynamicConfigValue(id_val="custom.hidden", value=True)])


def choice(name: str, label: str, expression: str) -> dashboard.QueryVariable:
    """A multi-choice variable whose "all" is a real expression, so that no panel is empty on a fresh installation."""
    return (
        dashboard.QueryVariable(name)
        .label(label)
        .datasource(SOURCE)
        .query(expression)
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .hide(VariableHide.DONT_HIDE)
        .multi(True)
        .include_all(True)
        .all_value(".*")
    )


def board(uid: str, heading: str, *, refresh: str = "10s", span: str = "now-3h") -> dashboard.Dashboard:
    """A dashboard of ours: tagged, linked to its sisters, with the site choice."""
    return (
        dashboard.Dashboard(heading)
        .uid(uid)
        .tags(["coldaisle"])
        .refresh(refresh)
        .time(span, "now")
        .timezone("browser")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .link(
            dashboard.DashboardLink("Coldaisle")
            .tags(["coldaisle"])
            .as_dropdown(False)
            .keep_time(True)
            .include_vars(True)
        )
        .with_variable(choice("site", "站点 Site", f"label_values({INFO}, site)"))
    )
