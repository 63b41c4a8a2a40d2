// Keeps a page fresh. Everything can be read and sent without it.
"use strict";

const parts = () => document.querySelectorAll("[data-refresh]");
const text = (name, value) => {
  for (const it of document.querySelectorAll(`[data-live="${name}"]`)) {
    if (it.textContent !== value) it.textContent = value;
  }
};

// The page is asked for again and what has news is put in the place of what was there. What is open stays open.
let asked = 0;
const refresh = async () => {
  const mine = ++asked;
  const answer = await fetch(location.href, { headers: { accept: "text/html" } });
  if (!answer.ok || mine !== asked) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  const open = new Set([...document.querySelectorAll("details[open][id]")].map((it) => it.id));
  const focused = document.activeElement?.id;
  for (const part of parts()) {
    const next = fresh.getElementById(part.id);
    if (!next || next.innerHTML === part.innerHTML || part.contains(document.activeElement)) continue;
    for (const it of next.querySelectorAll("details[id]")) it.open = open.has(it.id);
    part.replaceWith(document.adoptNode(next));
  }
  if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
};

// The first news sets the time; what comes meanwhile is in the same answer, and what comes while that is on its way asks
// once more. So a page also keeps up with an account that never rests.
let isAsking = false;
let hasNews = false;
const soon = (after = 150) => {
  hasNews = true;
  if (isAsking) return;
  isAsking = true;
  setTimeout(async () => {
    hasNews = false;
    await refresh().catch(() => {});
    isAsking = false;
    if (hasNews) soon(1000);
  }, after);
};

const follow = (address) => {
  const state = (name, words) => {
    document.documentElement.dataset.stream = name;
    for (const it of document.querySelectorAll("[data-fresh]")) it.textContent = words;
  };
  const stream = new EventSource(address);
  stream.addEventListener("balance", (event) => {
    const live = JSON.parse(event.data);
    for (const [name, value] of Object.entries(live)) text(name, value);
    const pill = document.getElementById("pill");
    if (pill) pill.dataset.state = live.state;
    state("live", "Live, updated");
  });
  stream.addEventListener("moved", () => {
    if (parts().length) soon();
  });
  stream.addEventListener("error", () => {
    state("lost", "Reconnecting; last updated");
    // A stream that was refused does not come back by itself: the session may be over.
    if (stream.readyState === EventSource.CLOSED) setTimeout(() => follow(address), 5000);
  });
  addEventListener("pagehide", () => stream.close(), { once: true });
};

if (document.body.dataset.stream) follow(document.body.dataset.stream);

// Filters take effect when they are changed; the button is for those without a script.
for (const form of document.querySelectorAll("form[data-auto]")) {
  form.addEventListener("change", () => form.requestSubmit());
  form.classList.add("auto");
}

// A page that waits for something outside asks again by itself.
const poll = document.querySelector("[data-poll]");
if (poll) setInterval(() => document.querySelector("[data-poll]") && refresh(), Number(poll.dataset.poll) || 2000);

// A field that takes a file also takes one that is dropped on it.
for (const zone of document.querySelectorAll("[data-drop]")) {
  const field = zone.querySelector("input[type=file]");
  const over = (is) => (event) => {
    event.preventDefault();
    zone.classList.toggle("over", is);
  };
  zone.addEventListener("dragover", over(true));
  zone.addEventListener("dragleave", over(false));
  zone.addEventListener("drop", (event) => {
    over(false)(event);
    field.files = event.dataTransfer.files;
    field.form.requestSubmit();
  });
}
