"use strict";
(function () {
  const data = JSON.parse(document.getElementById("grids").textContent);
  const pick = document.getElementById("feeder"), view = document.getElementById("view");
  const slider = document.getElementById("time"), clock = document.getElementById("clock");
  const play = document.getElementById("play"), worst = document.getElementById("worst");
  const start = Date.parse(data.start), offset = /([+-])(\d\d):(\d\d)$/.exec(data.start);
  const shift = offset ? (offset[1] === "-" ? -1 : 1) * (offset[2] * 60 + +offset[3]) * 60000 : 0;
  const GAP16 = 65535, GAP8 = 255;
  let map = null, dots = [], wires = [], v = null, loading = null, timer = null;

  function bytes(text) {
    const raw = atob(text), out = new Uint8Array(raw.length);
    for (let i = 0; i < raw.length; i++) out[i] = raw.charCodeAt(i);
    return out;
  }
  function mix(a, b, s) {
    return "rgb(" + a.map((x, i) => Math.round(x + (b[i] - x) * s)).join(",") + ")";
  }
  const BLUE = [0, 94, 168], CALM = [186, 196, 204], RED = [204, 71, 0], AMBER = [232, 170, 40], GREY = [150, 158, 168];
  function voltageColour(pu) {
    const middle = (data.band[0] + data.band[1]) / 2, half = (data.band[1] - data.band[0]) / 2;
    const off = (pu - middle) / half;
    return mix(CALM, off < 0 ? BLUE : RED, Math.min(1, Math.pow(Math.abs(off), 1.5)));
  }
  function loadingColour(percent) {
    if (percent <= 50) return mix(GREY, GREY, 0);
    return percent < 80 ? mix(GREY, AMBER, (percent - 50) / 30) : mix(AMBER, RED, Math.min(1, (percent - 80) / 20));
  }
  function said(text) {
    const node = document.createElement("span");
    node.textContent = text;
    return node;
  }
  function draw() {
    const feeder = data.feeders[pick.value], shape = data.shapes[feeder.shape];
    v = new Uint16Array(bytes(feeder.v).buffer);
    loading = bytes(feeder.loading);
    view.querySelector("[value=map]").disabled = !shape.geo;
    if (!shape.geo) view.value = "line";
    const onMap = view.value === "map";
    const place = onMap ? (i => [shape.geo[0][i], shape.geo[1][i]])
      : (i => [-560 * shape.tree[1][i], 1080 * shape.tree[0][i]]);
    if (map) map.remove();
    map = L.map("map", {
      crs: onMap ? L.CRS.EPSG3857 : L.CRS.Simple, preferCanvas: true, attributionControl: false, zoomSnap: 0.25,
      minZoom: -3, maxZoom: 22, scrollWheelZoom: false, zoomAnimation: false, fadeAnimation: false,
    });
    map.fitBounds(L.latLngBounds(feeder.buses.map((_, i) => place(i))), { padding: [18, 18] });
    wires = shape.ends.map(([a, b], k) => {
      const path = onMap ? [place(a), place(b)] : [place(a), [place(b)[0], place(a)[1]], place(b)];
      const wire = L.polyline(path, { weight: shape.kinds[k] === "trafo" ? 5 : 2 }).addTo(map);
      wire.bindTooltip(() => said(feeder.branches[k] + ": " + percentText(k)), { sticky: true });
      return wire;
    });
    dots = feeder.buses.map((name, i) => {
      const dot = L.circleMarker(place(i), { radius: 4.5, weight: 1, fillOpacity: 1 }).addTo(map);
      dot.bindTooltip(() => said(name + ": " + voltageText(i)));
      return dot;
    });
    show();
  }
  function at(i) { return v[slider.value * dots.length + i]; }
  function load(k) { return loading[slider.value * wires.length + k]; }
  function voltageText(i) { return at(i) === GAP16 ? "no supply" : (at(i) / data.scale).toFixed(4) + " pu"; }
  function percentText(k) { return load(k) === GAP8 ? "no value" : load(k) === 0 ? "no current" : load(k) + " %"; }
  function show() {
    const feeder = data.feeders[pick.value], shape = data.shapes[feeder.shape];
    let low = -1, high = -1, most = -1, dark = 0;
    dots.forEach((dot, i) => {
      const x = at(i);
      if (x === GAP16) {
        dark++;
        dot.setStyle({ color: "#000", fillColor: "#fff", weight: 2, radius: 5 });
        return;
      }
      if (low < 0 || x < at(low)) low = i;
      if (high < 0 || x > at(high)) high = i;
      const pu = x / data.scale, out = pu < data.band[0] || pu > data.band[1];
      dot.setStyle({ color: out ? "#000" : "#5d6672", fillColor: voltageColour(pu), weight: out ? 1.6 : 0.5, radius: 4.5 });
    });
    wires.forEach((wire, k) => {
      const x = load(k), off = x === 0 || x === GAP8;
      if (!off && (most < 0 || x > load(most))) most = k;
      wire.setStyle({
        color: off ? "#5d6672" : loadingColour(x), dashArray: off ? "3 5" : null, opacity: off ? 0.8 : 1,
        weight: shape.kinds[k] === "trafo" ? 5 : x > 80 && !off ? 3.5 : 2,
      });
    });
    const when = new Date(start + shift + data.t_s[slider.value] * 1000);
    clock.textContent = when.toISOString().slice(0, 16).replace("T", " ");
    const parts = [];
    if (low >= 0) parts.push("lowest " + voltageText(low) + " at " + feeder.buses[low]);
    if (high >= 0) parts.push("highest " + voltageText(high) + " at " + feeder.buses[high]);
    if (most >= 0) parts.push("most loaded " + feeder.branches[most] + " with " + percentText(most));
    if (dark) parts.push(dark + " of " + dots.length + " buses without supply");
    worst.textContent = parts.join("; ");
  }
  function step() {
    slider.value = (+slider.value + 1) % data.t_s.length;
    show();
  }
  data.feeders.forEach((feeder, i) => {
    const option = document.createElement("option");
    option.value = i;
    option.textContent = feeder.name + (feeder.grid ? " (" + feeder.grid + ")" : "");
    pick.appendChild(option);
  });
  slider.max = data.t_s.length - 1;
  const wanted = decodeURIComponent(location.hash.slice(1)).split("@");
  const index = data.feeders.findIndex(feeder => feeder.name === wanted[0]);
  if (index >= 0) pick.value = index;
  if (+wanted[1] >= 0) slider.value = Math.max(0, data.t_s.filter(t => t <= +wanted[1]).length - 1);
  if (wanted[2]) view.value = wanted[2];
  pick.addEventListener("change", draw);
  view.addEventListener("change", draw);
  slider.addEventListener("input", show);
  play.addEventListener("click", () => {
    if (timer) { clearInterval(timer); timer = null; } else { timer = setInterval(step, 150); }
    play.textContent = timer ? "stop" : "play";
  });
  draw();
}());
