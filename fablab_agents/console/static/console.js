"use strict";
const cards = document.getElementById("cards");
const said = document.getElementById("said");
const person = document.getElementById("person");
const HERE_MS = 120000;
const SURE_MS = 8000;
person.value = localStorage.getItem("person") || "";
person.addEventListener("input", () => localStorage.setItem("person", person.value));
let shown = "";
let sure = null;

function say(words, bad) {
  said.textContent = words;
  said.classList.toggle("bad", Boolean(bad));
}

// A new page of cards keeps what somebody is writing and where they are.
function place(node) {
  const card = node.closest("article");
  return [card && card.getAttribute("aria-labelledby"), ...Object.entries(node.dataset).flat()].join(" ");
}

function renew(html) {
  const at = document.activeElement;
  const focus = cards.contains(at) ? place(at) : null;
  const ends = at instanceof HTMLInputElement ? [at.selectionStart, at.selectionEnd] : null;
  const written = new Map([...cards.querySelectorAll("input")].map((input) => [place(input), input.value]));
  cards.innerHTML = shown = html;
  for (const input of cards.querySelectorAll("input")) input.value = written.get(place(input)) || "";
  const again = focus && [...cards.querySelectorAll("input, button, a")].find((node) => place(node) === focus);
  if (!again) return;
  again.focus();
  if (ends && again instanceof HTMLInputElement) again.setSelectionRange(...ends);
}

async function look() {
  try {
    const answer = await fetch("/cards");
    const html = await answer.text();
    if (html !== shown && sure === null) renew(html);
  } catch {
    say("The agent on this computer does not answer.", true);
  }
}

// A press that moves something, or cannot be taken back, is asked for twice.
function confirmed(button) {
  if (!button.dataset.sure) return true;
  if (sure && sure.button === button) {
    calm();
    return true;
  }
  calm();
  sure = { button, words: button.textContent, over: setTimeout(calm, SURE_MS) };
  button.textContent = button.dataset.sure;
  button.classList.add("sure");
  return false;
}

function calm() {
  if (!sure) return;
  clearTimeout(sure.over);
  sure.button.textContent = sure.words;
  sure.button.classList.remove("sure");
  sure = null;
}

function first(words, field) {
  say(words, true);
  field.focus();
  field.scrollIntoView({ block: "center" });
  return null;
}

// What a press says; null when something has to be said first, which is then said and pointed at.
function words(button) {
  const body = button.dataset.offered ? { offered: button.dataset.offered === "true" } : { person: person.value.trim() };
  if (body.person === "") return first("First write who you are.", person);
  for (const key of ["attempt", "why", "outcome", "word", "axis", "toward"]) if (button.dataset[key]) body[key] = button.dataset[key];
  if ("atTheMachine" in button.dataset) body.at_the_machine = true;
  const card = button.closest(".card");
  const field = (name) => card.querySelector(`[data-${name}]`);
  if (body.word) body.note = field("note").value.trim();
  if (body.outcome) body.evidence = field("evidence").value.trim();
  if (body.evidence === "") return first("First write what you saw.", field("evidence"));
  if (body.axis) body.step_mm = card.querySelector("[name=step]:checked").value;
  if (body.axis && !field("here").checked) return first("First say that you stand at the machine.", field("here"));
  return body;
}

async function press(button) {
  const body = words(button);
  if (body === null || !confirmed(button)) return;
  button.disabled = true;
  const label = button.firstChild.textContent.trim();
  const fields = [...button.closest(".card").querySelectorAll("[data-evidence], [data-note]")];
  const sent = fields.map((field) => field.value);
  if (body.at_the_machine) say("It moves …");
  try {
    const answer = await fetch(button.dataset.post, {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-Cosmolocal": "console" },
      body: JSON.stringify(body),
    });
    const told = await answer.json();
    // What was written since then is for the next word.
    if (answer.ok) fields.forEach((field, at) => { if (field.value === sent[at]) field.value = ""; });
    say(answer.ok ? `Done: ${label}` : `${told.title}: ${told.detail}`, !answer.ok);
  } catch {
    say("The agent on this computer does not answer.", true);
  }
  button.disabled = false;
  await (cards ? look() : stand());
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-post]");
  if (button) press(button);
});

// ── one machine's set-up page

async function stand() {
  const at = document.querySelector("[data-standing]");
  try {
    const all = await (await fetch("/api/machines")).json();
    const card = all.find((each) => each.machine === at.closest("[data-machine]").dataset.machine);
    const place = card.position_mm ? `; at ${card.position_mm.slice(0, 3).map((mm, axis) => `${"XYZ"[axis]} ${mm.toFixed(2)}`).join(", ")} mm` : "";
    at.textContent = `${card.condition}${card.detail ? `: ${card.detail}` : ""}${place}`;
  } catch {
    at.textContent = "The agent on this computer does not answer.";
  }
}

async function see(picture) {
  const told = document.querySelector("[data-seen]");
  try {
    const answer = await fetch(picture.dataset.picture);
    if (!answer.ok) throw new Error((await answer.json()).detail);
    const made = URL.createObjectURL(await answer.blob());
    picture.onload = () => URL.revokeObjectURL(made);
    picture.src = made;
    told.textContent = `as the camera saw it at ${new Date().toLocaleTimeString()}`;
  } catch (error) {
    told.textContent = `No picture: ${error.message}`;
  }
  setTimeout(() => see(picture), document.hidden ? 10000 : 2000);
}

function setUp() {
  let gone = 0;
  const here = document.querySelector("[data-here]");
  document.addEventListener("click", () => {
    clearTimeout(gone);
    gone = setTimeout(() => { if (here) here.checked = false; }, HERE_MS);
  });
  document.querySelectorAll("[data-picture]").forEach(see);
  stand();
  setInterval(stand, 1000);
}

if (cards) setInterval(look, 1500);
else if (document.querySelector("[data-standing]")) setUp();
