// Draws every [data-chart]: a curve with holes where nothing was measured, thresholds as lines, alarms as bands.
(() => {
  "use strict";
  const HEIGHT = 250;
  const COLOURS = { critical: "#d0312d", major: "#e67700", minor: "#c99700", info: "#1c6fd1" };

  const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  function number(value, data) {
    if (value === null || value === undefined) return "–";
    if (Object.keys(data.states).length) return data.states[value] ?? "–";
    const text = value.toFixed(data.decimals);
    return data.unit ? `${text}\u00a0${data.unit}` : text;
  }

  // Thresholds far away would flatten the curve: one is drawn when it lies within twice the height of what is shown.
  function visibleLevels(data, low, high) {
    const reach = Math.max((high - low) * 2, Math.abs(high) * 0.15, 1);
    return data.levels.filter((level) => level.value >= low - reach && level.value <= high + reach);
  }

  function range(data) {
    return () => {
      const codes = Object.keys(data.states).map(Number);
      if (codes.length) return [-0.5, Math.max(...codes) + 0.5];
      const values = [...data.v, ...data.low, ...data.high].filter((value) => value !== null);
      if (!values.length) return [0, 1];
      let low = Math.min(...values);
      let high = Math.max(...values);
      for (const level of visibleLevels(data, low, high)) {
        low = Math.min(low, level.value);
        high = Math.max(high, level.value);
      }
      const margin = Math.max((high - low) * 0.08, 0.5 * 10 ** -Math.min(data.decimals, 2) * 4);
      return [low - margin, high + margin];
    };
  }

  function ground(data) {
    return (plot) => {
      const { ctx } = plot;
      const { left, top, width, height } = plot.bbox;
      ctx.save();
      ctx.beginPath();
      ctx.rect(left, top, width, height);
      ctx.clip();
      for (const mark of data.marks) {
        const from = plot.valToPos(mark.from, "x", true);
        const to = plot.valToPos(mark.to ?? data.to, "x", true);
        ctx.globalAlpha = 0.12;
        ctx.fillStyle = COLOURS[mark.severity];
        ctx.fillRect(from, top, Math.max(to - from, 2 * devicePixelRatio), height);
      }
      ctx.globalAlpha = 1;
      ctx.font = `${11 * devicePixelRatio}px ${style("--tblr-font-sans-serif") || "sans-serif"}`;
      const { min, max } = plot.scales.y;
      for (const level of data.levels) {
        if (level.value < min || level.value > max) continue;
        const y = Math.round(plot.valToPos(level.value, "y", true));
        ctx.strokeStyle = COLOURS[level.severity];
        ctx.lineWidth = 1.5 * devicePixelRatio;
        ctx.setLineDash([7 * devicePixelRatio, 4 * devicePixelRatio]);
        ctx.beginPath();
        ctx.moveTo(left, y);
        ctx.lineTo(left + width, y);
        ctx.stroke();
        ctx.setLineDash([]);
        ctx.fillStyle = style("--ink");
        ctx.textAlign = "left";
        ctx.textBaseline = level.side === "low" ? "top" : "bottom";
        const shift = (level.side === "low" ? 3 : -3) * devicePixelRatio;
        ctx.fillText(`${level.side === "low" ? "≤" : "≥"} ${number(level.value, data)} ${level.label}`, left + 6 * devicePixelRatio, y + shift);
      }
      for (const mark of data.marks) {
        if (mark.from < plot.scales.x.min) continue;
        const x = Math.round(plot.valToPos(mark.from, "x", true));
        ctx.strokeStyle = COLOURS[mark.severity];
        ctx.lineWidth = 2 * devicePixelRatio;
        ctx.beginPath();
        ctx.moveTo(x, top);
        ctx.lineTo(x, top + height);
        ctx.stroke();
      }
      ctx.restore();
    };
  }

  function clock(data, pattern) {
    const format = new Intl.DateTimeFormat("sv-SE", { timeZone: data.zone, ...pattern });
    return (seconds) => format.format(new Date(seconds * 1000));
  }

  function options(box, data) {
    const line = style("--curve") || "#0b7285";
    const faint = style("--faint");
    const grid = { stroke: style("--line"), width: 1 };
    const states = Object.keys(data.states).map(Number);
    const full = clock(data, { dateStyle: "short", timeStyle: "medium" });
    const value = (plot, raw) => number(raw, data);
    const span = data.to - data.from;
    const tick =
      span > 2 * 86400 ? clock(data, { month: "2-digit", day: "2-digit" }) : clock(data, { hour: "2-digit", minute: "2-digit" });
    const series = [
      { label: data.time, value: (plot, raw) => (raw === null ? "–" : full(raw)) },
      {
        label: data.label,
        stroke: line,
        width: 2,
        spanGaps: false,
        value,
        paths: states.length ? uPlot.paths.stepped({ align: 1 }) : undefined,
        points: { show: data.t.length < 40 },
      },
    ];
    const bands = [];
    if (data.low.length && data.high.length && !states.length) {
      series.push({ label: data.lowest, stroke: "transparent", value, points: { show: false } });
      series.push({ label: data.highest, stroke: "transparent", value, points: { show: false } });
      bands.push({ series: [3, 2], fill: `${line}26` });
    }
    const labels = states.map((code) => data.states[code]);
    const wide = states.length ? 20 + 8 * Math.max(...labels.map((text) => text.length + (text.match(/[^\x00-\xff]/g) || []).length * 0.7)) : 0;
    return {
      width: box.clientWidth,
      height: HEIGHT,
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), data.zone),
      scales: { x: { time: true, min: data.from, max: data.to, range: () => [data.from, data.to] }, y: { range: range(data) } },
      axes: [
        { stroke: faint, grid, ticks: grid, values: (plot, splits) => splits.map(tick), space: 64 },
        {
          stroke: faint,
          grid,
          ticks: grid,
          size: states.length ? Math.min(Math.max(wide, 60), 150) : 62,
          splits: states.length ? () => states : undefined,
          values: (plot, splits) => splits.map((at) => (states.length ? data.states[at] : at.toFixed(decimalsOf(splits, data)))),
        },
      ],
      series,
      bands,
      cursor: { drag: { x: false, y: false } },
      legend: { live: true },
      hooks: { drawClear: [], drawAxes: [ground(data)] },
    };
  }

  function decimalsOf(splits, data) {
    if (splits.length < 2) return data.decimals;
    const step = Math.abs(splits[1] - splits[0]);
    for (let decimals = 0; decimals < 4; decimals += 1) {
      const scaled = step * 10 ** decimals;
      if (Math.abs(scaled - Math.round(scaled)) < 1e-6) return decimals;
    }
    return 4;
  }

  function note(box, text) {
    box.replaceChildren();
    const message = document.createElement("div");
    message.className = "chart-note";
    message.textContent = text;
    box.append(message);
  }

  function draw(box, data) {
    box.plot?.destroy();
    box.plot = null;
    box.data = data;
    if (data.nothing) {
      note(box, data.empty);
      return;
    }
    box.replaceChildren();
    const columns = [data.t, data.v];
    if (data.low.length && data.high.length && !Object.keys(data.states).length) columns.push(data.low, data.high);
    box.plot = new uPlot(options(box, data), columns, box);
    box.dataset.drawn = "yes";
  }

  async function load(box) {
    try {
      const answer = await fetch(box.dataset.chart, { headers: { Accept: "application/json" } });
      if (!answer.ok) throw new Error(String(answer.status));
      draw(box, await answer.json());
    } catch (error) {
      if (!box.plot) note(box, box.dataset.failed);
      else box.classList.add("is-stale");
      return;
    }
    box.classList.remove("is-stale");
  }

  function start() {
    for (const box of document.querySelectorAll("[data-chart]")) {
      note(box, box.dataset.waiting);
      load(box);
      const seconds = Number(box.dataset.refresh);
      if (seconds) {
        setInterval(() => {
          if (!document.hidden) load(box);
        }, seconds * 1000);
      }
      new ResizeObserver(() => {
        if (box.plot && box.clientWidth !== box.plot.width) box.plot.setSize({ width: box.clientWidth, height: HEIGHT });
      }).observe(box);
    }
  }
  document.addEventListener("coldaisle:theme", () => {
    for (const box of document.querySelectorAll("[data-chart]")) if (box.data) draw(box, box.data);
  });
  start();
})();
