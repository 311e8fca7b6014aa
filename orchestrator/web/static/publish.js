// Saves loading a draft's page again: dropped files are sent one by one, answers when they change.
// Without it the same forms are sent by their buttons.
"use strict";

const say = (form, words) => { form.querySelector("[role=status]").textContent = words; };

// Sends a form's fields and puts the piece that comes back in the place of the old one.
async function piece(address, fields, lastly = () => {}) {
  const answer = await fetch(address, { method: "POST", body: fields, headers: { "X-Piece": "1" } });
  const html = await answer.text();
  if (answer.redirected) { window.location = answer.url; return answer; }
  const files = document.getElementById("files");
  if (answer.status < 500 && (answer.headers.get("content-type") || "").startsWith("text/html")) {
    files.innerHTML = html;
    lastly();
  }
  return answer;
}

// One after the other: what was found in the first is there while the second is still on its way.
async function send(form, files) {
  const token = form.elements.form_token.value;
  let refused = 0;
  for (const [at, file] of files.entries()) {
    say(form, `Looking at ${file.name} (${at + 1} of ${files.length}) …`);
    const fields = new FormData();
    fields.append("form_token", token);
    fields.append("files", file, file.name);
    try {
      const answer = await piece(form.action, fields);
      refused += answer.ok ? 0 : 1;
    } catch {
      say(form, `${file.name} did not arrive: the connection broke. Try it again.`);
      return;
    }
  }
  const count = files.length === 1 ? "1 file" : `${files.length} files`;
  say(form, refused ? `${refused} of ${count} not taken; the reason stands below.` : `Looked at ${count}; what was found stands below.`);
}

function dropping(form) {
  const input = form.querySelector("input[type=file]");
  const stays = form.dataset.drop === "piece";
  const take = (files) => {
    if (!files.length) return;
    if (stays) { send(form, [...files]).then(() => { input.value = ""; }); return; }
    say(form, "Looking at your files …");
    form.requestSubmit();
  };
  form.querySelector(".drop-words").hidden = false;
  for (const kind of ["dragover", "dragenter"]) {
    form.addEventListener(kind, (event) => { event.preventDefault(); form.classList.add("over"); });
  }
  for (const kind of ["dragleave", "drop"]) {
    form.addEventListener(kind, () => form.classList.remove("over"));
  }
  form.addEventListener("drop", (event) => {
    event.preventDefault();
    const dropped = event.dataTransfer.files;
    if (!stays) input.files = dropped;
    take(dropped);
  });
  form.addEventListener("submit", (event) => {
    if (!stays) { say(form, "Looking at your files …"); return; }
    event.preventDefault();
    take(input.files);
  });
}

// Answers are kept as they change; what they mean for the files is shown at once.
function answering(form) {
  let turn = Promise.resolve();
  form.addEventListener("change", () => {
    turn = turn.then(() => piece(form.dataset.answers, new FormData(form))).catch(() => {});
  });
}

document.querySelectorAll("form[data-drop]").forEach(dropping);
document.querySelectorAll("form[data-answers]").forEach(answering);
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!form.action.endsWith("/remove")) return;
  event.preventDefault();
  piece(form.action, new FormData(form), () => {
    const field = document.querySelector("#add input[type=file]");
    if (field) field.focus();
  });
});
