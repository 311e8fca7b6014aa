// Draws maps without the internet: distance rings round a place, labs as named points, no tiles.
"use strict";
(() => {
  const RINGS_KM = [1, 2, 5, 10, 20, 50];

  function point(map, lat, lon, colour, words, permanent) {
    return L.circleMarker([lat, lon], { radius: 8, color: colour, fillColor: colour, fillOpacity: 0.85, weight: 2 })
      .addTo(map)
      .bindTooltip(words, { permanent, direction: "top", offset: [0, -8] });
  }

  function rings(map, lat, lon, reach_km) {
    for (const km of RINGS_KM.filter((ring) => ring <= reach_km * 1.6)) {
      L.circle([lat, lon], { radius: km * 1000, color: "#7a8b94", weight: 1, fill: false, dashArray: "4 6", interactive: false }).addTo(map);
      L.marker([lat + km / 111.2, lon], { interactive: false, keyboard: false,
        icon: L.divIcon({ className: "ring", html: `${km} km`, iconSize: [48, 14] }) }).addTo(map);
    }
  }

  function draw(box) {
    const data = JSON.parse(document.getElementById(box.dataset.points).textContent);
    const map = L.map(box, { attributionControl: false, zoomControl: true, scrollWheelZoom: false });
    const all = data.points.map((p) => [p.lat, p.lon]);
    if (data.place) all.push([data.place.lat, data.place.lon]);
    map.fitBounds(L.latLngBounds(all.length ? all : [[41.36, 2.1], [41.43, 2.22]]).pad(0.3));
    const centre = data.place || data.points[0] || { lat: map.getCenter().lat, lon: map.getCenter().lng };
    const reach = Math.max(2, ...all.map(([lat, lon]) => map.distance([lat, lon], [centre.lat, centre.lon]) / 1000));
    rings(map, centre.lat, centre.lon, reach);
    for (const p of data.points) point(map, p.lat, p.lon, p.chosen ? "#0f6674" : "#6b7680", p.name, true);
    const here = data.place ? point(map, data.place.lat, data.place.lon, "#d9822b", "you", true) : null;
    choose(box, map, here);
  }

  function choose(box, map, here) {
    const form = box.dataset.form && document.getElementById(box.dataset.form);
    if (!form) return;
    let marker = here;
    const put = (lat, lon) => {
      if (marker) marker.setLatLng([lat, lon]);
      else marker = point(map, lat, lon, "#d9822b", "you", true);
    };
    map.on("click", (event) => {
      form.elements.lat.value = event.latlng.lat.toFixed(4);
      form.elements.lon.value = event.latlng.lng.toFixed(4);
      put(event.latlng.lat, event.latlng.lng);
    });
    for (const name of ["lat", "lon"])
      form.elements[name].addEventListener("change", () => put(+form.elements.lat.value, +form.elements.lon.value));
  }

  document.addEventListener("DOMContentLoaded", () => document.querySelectorAll("[data-points]").forEach(draw));
})();
