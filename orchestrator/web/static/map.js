// Draws maps without the internet: distance rings round a place, labs as named points, no tiles.
"use strict";
(() => {
  const RINGS_KM = [0.5, 1, 2, 5, 10, 20, 50, 100];
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  // A tooltip takes HTML: names reach it as text.
  function text(words) {
    const node = document.createElement("span");
    node.textContent = words;
    return node;
  }

  const SIDES = { top: [0, -8], bottom: [0, 8], right: [8, 0], left: [-8, 0] };

  function point(map, at, paint, words, side) {
    return L.circleMarker(at, { pane: "places", radius: 8, color: paint, fillColor: paint, fillOpacity: 0.9, weight: 2, interactive: false })
      .addTo(map)
      .bindTooltip(text(words), { permanent: true, direction: side, offset: SIDES[side] });
  }

  const meet = (a, b) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
  const within = (a, b) => a.left >= b.left && a.right <= b.right && a.top >= b.top && a.bottom <= b.bottom;

  // Each name stands on a side of its point where it covers no other name or point, if there is one.
  function settle(map, points) {
    const frame = map.getContainer().getBoundingClientRect();
    const taken = points.map((each) => each.getElement().getBoundingClientRect());
    for (const each of points) {
      const tip = each.getTooltip();
      const put = (side) => {
        Object.assign(tip.options, { direction: side, offset: SIDES[side] });
        tip.update();
        return tip.getElement().getBoundingClientRect();
      };
      const free = (side) => within(put(side), frame) && !taken.some((other) => meet(put(side), other));
      const first = tip.options.direction;
      taken.push(put([first, ...Object.keys(SIDES)].find(free) || first));
    }
  }

  function ring(map, at, km) {
    const label = L.divIcon({ className: "ring", html: `<span>${km} km</span>`, iconSize: [60, 16] });
    const style = { radius: km * 1000, color: colour("--quiet"), weight: 1, fill: false, dashArray: "4 6", interactive: false };
    return L.layerGroup([
      L.circle(at, style),
      L.marker([at[0] + km / 111.2, at[1]], { interactive: false, keyboard: false, icon: label }),
    ]).addTo(map);
  }

  function draw(box) {
    box.hidden = false;
    const labs = JSON.parse(box.dataset.points);
    const place = box.dataset.place && JSON.parse(box.dataset.place);
    const map = L.map(box, { attributionControl: false, scrollWheelZoom: false, zoomSnap: 0.25 });
    map.createPane("places").style.zIndex = 620; // above the rings' words
    const all = labs.concat(place || []).map((p) => [p.lat, p.lon]);
    map.fitBounds(L.latLngBounds(all).pad(0.35), { maxZoom: 14 });
    const points = labs.map((lab) => point(map, [lab.lat, lab.lon], colour(lab.chosen ? "--here" : "--lab"), lab.name, "top"));
    const you = place ? chosen(map, labs, [place.lat, place.lon], points) : null;
    if (!place) settle(map, points);
    map.on("zoomend", () => settle(map, points));
    if (!you) L.control.scale({ imperial: false }).addTo(map);
    const form = box.dataset.form && document.getElementById(box.dataset.form);
    if (form) choose(map, form, you);
  }

  // The maker's place, its rings, and a line to every lab that makes something; moved as one.
  function chosen(map, labs, at, points) {
    const marker = point(map, at, colour("--you"), "you", "bottom");
    points.push(marker);
    let around = [];
    const move = (to) => {
      marker.setLatLng(to);
      around.forEach((layer) => layer.remove());
      around = surround(map, labs, to);
      for (const lab of labs.filter((each) => each.chosen))
        around.push(L.polyline([to, [lab.lat, lab.lon]], { color: colour("--here"), weight: 2, interactive: false }).addTo(map));
      settle(map, points);
    };
    move(at);
    return move;
  }

  function surround(map, labs, at) {
    const reach = Math.max(1, ...labs.map((lab) => map.distance([lab.lat, lab.lon], at) / 1000));
    return RINGS_KM.filter((km) => km <= reach * 1.5 && km >= reach / 5).map((km) => ring(map, at, km));
  }

  function choose(map, form, you) {
    const { lat, lon } = form.elements;
    const put = (at) => {
      [lat.value, lon.value] = at.map((degrees) => (+degrees).toFixed(4));
      you([+lat.value, +lon.value]);
    };
    map.getContainer().classList.add("choosing");
    map.on("click", ({ latlng }) => put([latlng.lat, latlng.lng]));
    for (const field of [lat, lon])
      field.addEventListener("change", () => form.checkValidity() && you([+lat.value, +lon.value]));
    for (const link of form.querySelectorAll("[data-at]"))
      link.addEventListener("click", (event) => {
        event.preventDefault();
        put(link.dataset.at.split(","));
      });
  }

  document.addEventListener("DOMContentLoaded", () => document.querySelectorAll("[data-points]").forEach(draw));
})();
