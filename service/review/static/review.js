"use strict";
// What HTML cannot do alone: the overlay's slider, dropping a file, the number beside a slider,
// and saying that what stands on the page is not the answer to what was asked.
document.documentElement.classList.add("js");

document.addEventListener("input", (event) => {
  const control = event.target;
  if (control.id === "opacity") {
    for (const picture of document.querySelectorAll(".overlay")) {
      picture.style.opacity = String(control.value / 100);
    }
    document.getElementById("opacity-shown").textContent = `${control.value} %`;
  }
  if (control.id === "threshold") {
    document.getElementById("shown").textContent = Number(control.value).toFixed(3);
  }
});

document.addEventListener("change", (event) => {
  const control = event.target;
  if (control.name === "overlay") {
    for (const picture of document.querySelectorAll(".overlay")) {
      picture.classList.toggle("hidden", picture.dataset.finding !== control.value);
    }
  }
  if (control.id === "file") {
    showChosen(control);
    if (control.files.length) control.form.requestSubmit();
  }
});

function showChosen(input) {
  const file = input.files[0];
  document.getElementById("chosen").textContent = file ? file.name : "no file chosen";
}

// After Back a browser may have kept the file.
window.addEventListener("pageshow", () => {
  const input = document.getElementById("file");
  if (input) showChosen(input);
});

document.querySelector("nav [aria-current]")?.scrollIntoView({ inline: "center", block: "nearest" });

const drop = document.querySelector(".drop");
if (drop) {
  for (const kind of ["dragenter", "dragover"]) {
    drop.addEventListener(kind, (event) => {
      event.preventDefault();
      drop.classList.add("over");
    });
  }
  for (const kind of ["dragleave", "drop"]) {
    drop.addEventListener(kind, () => drop.classList.remove("over"));
  }
  drop.addEventListener("drop", (event) => {
    event.preventDefault();
    const input = document.getElementById("file");
    if (event.dataTransfer.files.length > 1) {
      input.value = "";
      showProblem(document.getElementById("result"), "One at a time", ["Drop one radiograph."]);
      showChosen(input);
      return;
    }
    input.files = event.dataTransfer.files;
    showChosen(input);
    if (input.files.length) drop.requestSubmit();
  });
}

// A refused upload is an answer too: show it where the result would stand. Only the service's own:
// a proxy's page of an error is none.
document.addEventListener("htmx:beforeSwap", (event) => {
  const xhr = event.detail.xhr;
  const kind = xhr.getResponseHeader("Content-Type") || "";
  if (xhr.status >= 400 && kind.startsWith("text/html") && xhr.getResponseHeader("X-Request-ID")) {
    event.detail.shouldSwap = true;
    event.detail.isError = false;
  }
});

// What stands there belongs to an earlier file or choice until the answer comes.
document.addEventListener("htmx:beforeRequest", (event) => {
  if (event.detail.elt.id === "try") event.detail.target.replaceChildren();
  event.detail.target.setAttribute("aria-busy", "true");
});

document.addEventListener("htmx:afterRequest", (event) => {
  event.detail.target.removeAttribute("aria-busy");
});

document.addEventListener("htmx:afterSwap", (event) => {
  if (event.detail.elt.id === "result") nameFile(event.detail.elt);
});

document.addEventListener("htmx:sendError", (event) => {
  showProblem(event.detail.target, "No connection", [
    "The service did not answer. It may have stopped, or the network is down.",
  ]);
});

document.addEventListener("htmx:responseError", (event) => {
  const { target, xhr } = event.detail;
  const told = readProblem(xhr);
  if (xhr.status === 401) {
    const again = document.createElement("a");
    again.href = location.href;
    again.textContent = "Open this page again";
    showProblem(target, "Sign in again", [...told, " ", again]);
  } else {
    showProblem(target, "No answer", told);
  }
});

document.addEventListener("htmx:validation:halted", (event) => {
  const told = event.detail.errors.map(({ elt, message }) => `${nameOf(elt)}: ${message} `);
  showProblem(document.getElementById("result"), "Not asked", told);
});

function nameOf(control) {
  return control.labels?.[0]?.firstChild.textContent.trim() || control.name;
}

function readProblem(xhr) {
  let problem = {};
  try {
    problem = JSON.parse(xhr.responseText);
  } catch {
    // Whatever stands before the service answered in its place.
  }
  const code = document.createElement("code");
  code.textContent = problem.code || `HTTP ${xhr.status}`;
  const wait = xhr.getResponseHeader("Retry-After");
  return [code, ` ${problem.detail || ""}`, wait ? ` Try again in ${wait} s.` : ""];
}

function showProblem(place, title, told) {
  const card = document.createElement("section");
  card.className = "card problem";
  card.setAttribute("role", "alert");
  const heading = document.createElement("h2");
  heading.textContent = title;
  const detail = document.createElement("p");
  detail.append(...told);
  card.append(heading, detail);
  if (document.getElementById("try")) {
    place.replaceChildren(card);
    nameFile(place);
  } else {
    markStale(place, card);
  }
}

function markStale(place, card) {
  const warning = document.createElement("p");
  warning.textContent = "What stands below belongs to the choice before, not to what is chosen now.";
  card.append(warning);
  place.querySelector(":scope > .problem")?.remove();
  place.classList.add("stale");
  place.prepend(card);
}

function nameFile(place) {
  const file = document.getElementById("file")?.files[0];
  if (!file) return;
  const line = document.createElement("p");
  line.className = "tried";
  line.textContent = `File: ${file.name}`;
  place.prepend(line);
}

// A region that is swapped in is not heard; one that stays and changes is.
document.addEventListener("htmx:afterSettle", () => {
  const told = document.querySelector("#result [data-told]");
  if (told) document.getElementById("told").textContent = told.textContent;
});

// Moving the threshold keeps the address of what is shown.
document.addEventListener("htmx:afterSettle", (event) => {
  const form = document.getElementById("thresholds");
  if (form && event.detail.target.id === "result") {
    history.replaceState(null, "", "?" + new URLSearchParams(new FormData(form)));
  }
});
