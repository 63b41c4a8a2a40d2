// Keeps a page fresh. Everything can be read and sent without it.
"use strict";

const parts = () => document.querySelectorAll("[data-refresh]");
const text = (name, value) => {
  for (const it of document.querySelectorAll(`[data-live="${name}"]`)) {
    if (it.textContent !== value) it.textContent = value;
  }
};

// A session that is over does not come back: nothing is asked for any more. What was typed stays where it is.
let isOver = false;
const state = (name, words) => {
  if (isOver && name !== "over") return;
  document.documentElement.dataset.stream = name;
  for (const it of document.querySelectorAll("[data-fresh]")) if (it.textContent !== words) it.textContent = words;
};

const over = () => {
  if (isOver) return;
  isOver = true;
  rest();
  state("over", "Signed out; last updated");
  const note = Object.assign(document.createElement("p"), { className: "card alert" });
  note.setAttribute("role", "alert");
  note.textContent = "You are signed out: what you see here does not change any more. Open Settings in the app you came from to come back.";
  document.getElementById("main").prepend(note);
};

// A table that is scrolled, told from those of the same name in other details.
const region = (it) => {
  const within = it.closest("details[id]");
  return `${within ? `#${CSS.escape(within.id)} ` : ""}.scroll[aria-label="${CSS.escape(it.getAttribute("aria-label"))}"]`;
};

// Where the focus is, so that it is found again in what is new; null for what has something typed or chosen in it.
const place = (it) => {
  const said = (name) => `[${name}="${CSS.escape(it.getAttribute(name))}"]`;
  if (it.matches("details[id] > summary")) return `#${CSS.escape(it.parentElement.id)} > summary`;
  if (it.matches(".scroll")) return region(it);
  return it.matches("a[href]") ? `a${said("href")}` : null;
};

// The page is asked for again and what has news is put in the place of what was there. What is open stays open.
let asked = 0;
const refresh = async () => {
  if (isOver) return;
  const mine = ++asked;
  const answer = await fetch(location.href, { headers: { accept: "text/html" } });
  if (answer.status === 401) over();
  if (!answer.ok || mine !== asked) return answer.status;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  // Another account was opened in another tab: nothing of it is shown, or sent, under the name of this one.
  if (fresh.body.dataset.account !== document.body.dataset.account) {
    // Asked for anew, not reloaded: what was sent to get here is not sent again.
    return location.replace(location.pathname + location.search);
  }
  const open = new Set([...document.querySelectorAll("details[open][id]")].map((it) => it.id));
  for (const part of parts()) {
    const next = fresh.getElementById(part.id);
    if (!next || next.innerHTML === part.innerHTML) continue;
    const focus = part.contains(document.activeElement) ? place(document.activeElement) : "";
    if (focus === null) continue;
    for (const it of next.querySelectorAll("details[id]")) it.open = open.has(it.id);
    const scrolled = new Map([...part.querySelectorAll(".scroll")].map((it) => [region(it), it.scrollLeft]));
    // The part itself stays, so that those who cannot see it are told what is new in it.
    part.replaceChildren(...next.childNodes);
    if (!next.dataset.poll) delete part.dataset.poll;
    for (const it of part.querySelectorAll(".scroll")) it.scrollLeft = scrolled.get(region(it)) ?? 0;
    if (focus) part.querySelector(focus)?.focus({ preventScroll: true });
  }
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

// A stream that was refused does not come back by itself: it is opened again, unless nobody may listen any more. The page
// itself says whether that is because the session is over, or is another account's.
const address = document.body.dataset.stream;
const again = async () => {
  const answer = await fetch(address, { method: "HEAD" }).catch(() => null);
  const status = answer?.status === 204 ? await refresh().catch(() => 0) : 0;
  // What is not for who is signed in now: the server says so in the place of what stands here.
  if (!isOver && 400 <= status && status < 500) location.replace(location.pathname + location.search);
  else setTimeout(follow, 5000);
};

const news = () => {
  if (parts().length) soon();
};

let stream = null;
// Whether something may have happened that no stream told this page of.
let mayHaveMissed = document.hidden;
const rest = () => {
  mayHaveMissed = true;
  stream?.close();
  stream = null;
};
const follow = () => {
  if (stream || isOver || document.hidden) return;
  stream = new EventSource(address);
  // One that is opened anew tells nothing of what happened meanwhile: the page is asked for that.
  stream.addEventListener("open", () => {
    if (mayHaveMissed) news();
    mayHaveMissed = false;
  });
  stream.addEventListener("balance", (event) => {
    const live = JSON.parse(event.data);
    for (const [name, value] of Object.entries(live)) text(name, value);
    for (const it of document.querySelectorAll("[data-state]")) it.dataset.state = live.state;
    state("live", "Live, updated");
  });
  stream.addEventListener("moved", news);
  stream.addEventListener("error", () => {
    mayHaveMissed = true;
    state("lost", "Reconnecting; last updated");
    if (stream?.readyState !== EventSource.CLOSED) return;
    rest();
    again();
  });
};

if (address) {
  follow();
  addEventListener("pagehide", rest);
  // A page nobody looks at follows nothing: browsers open few connections to one place, and another tab may need them.
  // Whoever comes back to one finds it as it was left.
  document.addEventListener("visibilitychange", () => (document.hidden ? rest() : follow()));
  addEventListener("pageshow", (event) => event.persisted && follow());
}

// What is chosen from a list by hand takes effect at once. By keyboard every step would, and of a date every digit: there
// the button is for.
for (const form of document.querySelectorAll("form[data-auto]")) {
  let isTyped = false;
  form.addEventListener("keydown", () => (isTyped = true));
  form.addEventListener("pointerdown", () => (isTyped = false));
  form.addEventListener("change", (event) => event.target.matches("select") && !isTyped && form.requestSubmit());
}

// A number that is typed chooses its own radio, and a package that is chosen empties it: one of them is meant. By keyboard
// alone one may walk through all of it and change nothing.
for (const field of document.querySelectorAll(".package input[name=credits]")) {
  const own = field.closest(".package").querySelector("input[type=radio]");
  let isTyped = false;
  const choose = () => (own.checked = true);
  field.addEventListener("input", choose);
  field.addEventListener("pointerdown", choose);
  field.form.addEventListener("keydown", () => (isTyped = true));
  field.form.addEventListener("pointerdown", () => (isTyped = false));
  field.form.addEventListener("change", (event) => {
    if (event.target.name !== own.name) return;
    if (event.target !== own) field.value = "";
    else if (!isTyped) field.focus();
  });
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
