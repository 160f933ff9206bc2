"use strict";
// What HTML cannot do alone: the overlay's slider, dropping a file, the number beside a slider.
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
    input.files = event.dataTransfer.files;
    showChosen(input);
    if (input.files.length) drop.requestSubmit();
  });
}

// A refused upload is an answer too: show it where the result would stand.
document.addEventListener("htmx:beforeSwap", (event) => {
  const kind = event.detail.xhr.getResponseHeader("Content-Type") || "";
  if (event.detail.xhr.status >= 400 && kind.startsWith("text/html")) {
    event.detail.shouldSwap = true;
    event.detail.isError = false;
  }
});

// Moving the threshold keeps the address of what is shown.
document.addEventListener("htmx:afterSettle", (event) => {
  const form = document.getElementById("thresholds");
  if (form && event.detail.target.id === "result") {
    history.replaceState(null, "", "?" + new URLSearchParams(new FormData(form)));
  }
});
