// Who may see what, and what they see when they may not.
import { after, before, test } from "node:test";
import assert from "node:assert/strict";
import { Scrip, browser, live, sound, tab } from "../scrip.mjs";

const REFUSED = "Failed to load resource";
let scrip, chrome;
before(async () => {
  scrip = await Scrip.start();
  chrome = await browser();
});
after(async () => {
  await chrome?.close();
  await scrip?.stop();
});

test("an expired link says so, and leads back to where it came from", async () => {
  await scrip.account("late");
  const link = await scrip.link("late", "owner", { expires_in_seconds: 60, return_url: "https://app.example.com/settings" });
  await scrip.advance("late", 61);
  const page = await tab(chrome, { expected: [REFUSED] });
  const answer = await page.goto(link);
  assert.equal(answer.status(), 410);
  await page.getByRole("heading", { name: "This link has expired" }).waitFor();
  assert.equal(await page.getByRole("link", { name: "Back to the app" }).getAttribute("href"), "https://app.example.com/settings");
  await sound(page, "an expired link");
});

test("a member sees usage and no billing", async () => {
  await scrip.account("team");
  const page = await tab(chrome, { expected: [REFUSED] });
  await page.goto(await scrip.link("team", "member"));
  await page.getByRole("heading", { name: "Available credits" }).waitFor();
  assert.equal(await page.getByRole("link", { name: "Billing" }).count(), 0);
});

test("when credits run low everybody is told what to do: to buy, or whom to ask", async () => {
  await scrip.account("low", { name: "Low & Co" });
  // What is left is for servers only: void it, so that the balance is what may be spent on anything.
  const { data } = await scrip.ask("GET", "/v1/accounts/low/grants");
  const forServers = data.find((it) => it.scope.meters.length > 0);
  await scrip.ask("POST", `/v1/grants/${forServers.id}/void`, { reason: "No server wanted" });
  await scrip.chat("low", 8_000 * 450);
  const page = await tab(chrome);
  await page.goto(await scrip.link("low", "member"));
  const advice = page.locator("#advice");
  assert.match(await advice.innerText(), /running low[\s\S]*Ask an owner or billing contact of Low & Co to add some/);
  await sound(page, "usage of an account that runs low");
  await scrip.ask("POST", "/v1/accounts/low/grants", { credits: "90000", source: "adjustment", reason: "Plenty" });
  await advice.filter({ hasText: "low" }).waitFor({ state: "detached" });
});

test("a form without the mark of its session does nothing", async () => {
  await scrip.account("forged");
  await scrip.account("forger");
  const page = await tab(chrome, { expected: [REFUSED] });
  await page.goto(await scrip.link("forger"));
  const mark = await page.locator("input[name=mark]").first().inputValue();
  await page.context().clearCookies();
  await page.goto(await scrip.link("forged"));
  for (const form of [{}, { mark }, { mark: "" }]) {
    const answer = await page.request.post(`${scrip.url}/sign-out`, { form });
    assert.equal(answer.status(), 403);
    assert.match(await answer.text(), /Nothing was done/);
  }
  await page.reload();
  await page.getByRole("heading", { name: "Available credits" }).waitFor();
});

test("signing out ends the session in every tab", async () => {
  await scrip.account("leaving");
  const page = await tab(chrome, { expected: [REFUSED] });
  await page.goto(await scrip.link("leaving"));
  const other = await page.context().newPage();
  await other.goto(`${scrip.url}/settings/activity`);
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByRole("heading", { name: "You are signed out" }).waitFor();
  assert.equal((await other.goto(`${scrip.url}/settings/activity`)).status(), 401);
});

test("a page whose session has ended says so, keeps what was typed, and asks no more", async () => {
  await scrip.account("over");
  const page = await tab(chrome, { expected: [REFUSED] });
  await page.goto(await scrip.link("over"));
  await page.goto(`${scrip.url}/settings/estimate`);
  await page.getByLabel("Your message").fill("Half a thought");
  await live(page);
  const other = await page.context().newPage();
  await other.goto(`${scrip.url}/settings/activity`);
  await other.getByRole("button", { name: "Sign out" }).click();
  await page.getByRole("alert").filter({ hasText: "You are signed out" }).waitFor();
  assert.match(await page.locator("#pill").innerText(), /signed out/);
  assert.equal(await page.getByLabel("Your message").inputValue(), "Half a thought");
  await sound(page, "a page whose session has ended");
});

test("who signs out finds the way back to the app", async () => {
  await scrip.account("returning");
  const page = await tab(chrome);
  // Another site: what a form leads to may not be one, not even by way of a redirect.
  await page.goto(await scrip.link("returning", "owner", { return_url: "https://app.example.com/settings" }));
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByRole("heading", { name: "You are signed out" }).waitFor();
  assert.equal(await page.getByRole("link", { name: "Back to the app" }).getAttribute("href"), "https://app.example.com/settings");
  await sound(page, "the page after signing out");
});

test("a page can be walked through by keyboard alone", async () => {
  await scrip.account("keys");
  await scrip.chat("keys", 80_000);
  const page = await tab(chrome);
  await page.goto(await scrip.link("keys"));
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.textContent), "Skip to content");
  const seen = new Set();
  for (let step = 0; step < 80; step++) {
    await page.keyboard.press("Tab");
    const focused = await page.evaluate(() => {
      const it = document.activeElement;
      if (it === document.body) return null; // beyond the last, before the first
      const style = getComputedStyle(it);
      return { name: it.getAttribute("aria-label") ?? it.textContent.trim().slice(0, 40), outline: style.outlineStyle };
    });
    if (!focused) continue;
    assert.notEqual(focused.outline, "none", `${focused.name} does not show that it has the focus`);
    seen.add(focused.name);
  }
  for (const name of ["Usage", "Activity", "Sign out", "30 days", "Dates and filters", "Skip the chart", "Show as a table"]) assert.ok(seen.has(name), name);
});

test("a page nobody looks at holds no connection, and is up to date when somebody does again", async () => {
  await scrip.account("hidden");
  const page = await tab(chrome);
  let streams = 0;
  page.on("request", (it) => (streams += it.url().includes("/settings/stream")));
  const ended = page.waitForEvent("requestfailed", (it) => it.url().includes("/settings/stream"));
  await page.goto(await scrip.link("hidden"));
  await live(page);
  const hide = (is) =>
    page.evaluate((is) => {
      Object.defineProperty(document, "hidden", { value: is, configurable: true });
      document.dispatchEvent(new Event("visibilitychange"));
    }, is);
  await hide(true);
  await ended;
  await scrip.chat("hidden", 80_000);
  await hide(false);
  await page.locator("summary", { hasText: "AI chat message" }).waitFor();
  await page.locator("#pill", { hasText: "890.00" }).waitFor();
  assert.equal(streams, 2);
});

test("a page that was opened behind another is up to date when it is looked at", async () => {
  await scrip.account("behind");
  const page = await tab(chrome);
  await page.addInitScript(() => Object.defineProperty(document, "hidden", { value: true, configurable: true }));
  await page.goto(await scrip.link("behind"));
  await scrip.chat("behind", 80_000);
  await page.evaluate(() => {
    Object.defineProperty(document, "hidden", { value: false, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
  });
  await page.locator("summary", { hasText: "AI chat message" }).waitFor();
});

test("a page whose visitor has opened another account meanwhile shows nothing of it under the name of the first", async () => {
  for (const name of ["first", "second"]) await scrip.account(name, { name });
  const page = await tab(chrome, { expected: [REFUSED] });
  await page.goto(await scrip.link("first"));
  await live(page);
  const other = await page.context().newPage();
  await other.goto(await scrip.link("second"));
  await live(other);
  const header = page.locator("header .account");
  assert.equal(await header.innerText(), "first");
  await page.evaluate(() => {
    document.body.insertAdjacentHTML("beforeend", "<i id=mixed></i>");
    for (const is of [true, false]) {
      Object.defineProperty(document, "hidden", { value: is, configurable: true });
      document.dispatchEvent(new Event("visibilitychange"));
    }
  });
  await header.filter({ hasText: "second" }).waitFor();
  assert.equal(await page.locator("#mixed").count(), 0, "the whole page is the other account's");
});

test("a lost connection is said, and comes back by itself with what was missed", async () => {
  const first = await Scrip.start();
  await first.account("lost");
  const page = await tab(chrome, { expected: [REFUSED, "ERR_"] });
  await page.goto(await first.link("lost"));
  await live(page);
  await first.stop({ keep: true });
  await page.getByText("Reconnecting; last updated").waitFor();
  const second = await Scrip.start({ after: first });
  await second.chat("lost", 80_000);
  await live(page);
  await page.locator("summary", { hasText: "AI chat message" }).waitFor();
  assert.match(await page.locator("#pill").innerText(), /890\.00/);
  await second.stop();
});
