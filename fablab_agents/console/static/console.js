"use strict";
const cards = document.getElementById("cards");
const said = document.getElementById("said");
const person = document.getElementById("person");
person.value = localStorage.getItem("person") || "";
person.addEventListener("input", () => localStorage.setItem("person", person.value));
let shown = "";

function say(words, bad) {
  said.textContent = words;
  said.classList.toggle("bad", Boolean(bad));
}

// What somebody is writing or has in focus is left alone until the next round.
function busy() {
  const field = cards.querySelector("input:focus");
  return field !== null || [...cards.querySelectorAll("input")].some((input) => input.value);
}

async function look() {
  try {
    const answer = await fetch("/cards");
    const html = await answer.text();
    if (html === shown || busy()) return;
    const focus = document.activeElement && document.activeElement.dataset ? document.activeElement.dataset.post : null;
    cards.innerHTML = shown = html;
    if (focus) {
      const again = [...cards.querySelectorAll("button")].find((button) => button.dataset.post === focus);
      if (again) again.focus();
    }
  } catch {
    say("The agent on this computer does not answer.", true);
  }
}

async function press(button) {
  const body = button.dataset.offered ? { offered: button.dataset.offered === "true" } : { person: person.value.trim() };
  if (body.person === "") {
    say("First write who you are.", true);
    person.focus();
    return;
  }
  for (const key of ["attempt", "why", "outcome", "word"]) if (button.dataset[key]) body[key] = button.dataset[key];
  const evidence = button.closest("article").querySelector("[data-evidence]");
  if (body.outcome) body.evidence = evidence.value.trim();
  const note = button.closest("article").querySelector("[data-note]");
  if (body.word) body.note = note.value.trim();
  button.disabled = true;
  try {
    const answer = await fetch(button.dataset.post, {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-Cosmolocal": "console" },
      body: JSON.stringify(body),
    });
    const told = await answer.json();
    for (const field of [evidence, note]) if (answer.ok && field) field.value = "";
    say(answer.ok ? "Done." : `${told.title}: ${told.detail}`, !answer.ok);
  } catch {
    say("The agent on this computer does not answer.", true);
  }
  button.disabled = false;
  await look();
}

cards.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-post]");
  if (button) press(button);
});
setInterval(look, 1500);
