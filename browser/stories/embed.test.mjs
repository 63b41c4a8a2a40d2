// The pages inside another application's: where the operator allows it, and nowhere else.
import { after, before, test } from "node:test";
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { once } from "node:events";
import { Scrip, browser, tab } from "../scrip.mjs";

let scrip, chrome, allowed, stranger;
before(async () => {
  [allowed, stranger] = [await application(), await application()];
  scrip = await Scrip.start({ config: `[pages]\nembed_origins = ["${allowed.origin}"]\n` });
  chrome = await browser();
});
after(async () => {
  await chrome?.close();
  await scrip?.stop();
  for (const it of [allowed, stranger]) it?.server.close();
});

/** An application that shows, in a frame, the address it is asked for with. */
async function application() {
  const server = createServer((asked, answer) => {
    const frame = new URL(asked.url, "http://localhost").searchParams.get("frame");
    answer.setHeader("content-type", "text/html");
    answer.end(`<!doctype html><html lang="en"><title>An application</title><iframe title="Settings" width="900" height="600" src="${frame}"></iframe>`);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return { server, origin: `http://127.0.0.1:${server.address().port}` };
}

test("the pages open in a frame of an application that is allowed to, and follow live there", async () => {
  await scrip.account("embedded");
  const page = await tab(chrome);
  await page.goto(`${allowed.origin}/?frame=${encodeURIComponent(await scrip.link("embedded"))}`);
  const frame = page.frameLocator("iframe");
  await frame.getByRole("heading", { name: "Available credits" }).waitFor();
  await frame.locator("html[data-stream=live]").waitFor();
  await scrip.chat("embedded", 80_000);
  await frame.locator("[data-live=available]", { hasText: "890.00" }).first().waitFor();
  await frame.getByRole("link", { name: "Activity", exact: true }).click();
  await frame.getByRole("heading", { name: "Activity" }).waitFor();
  assert.deepEqual(page.complaints, []);
});

test("in a frame of anybody else's they do not open", async () => {
  await scrip.account("framed");
  const page = await tab(chrome, { expected: ["frame-ancestors", "Refused to frame", "Framing"] });
  const refused = page.waitForEvent("console", (it) => it.text().includes("frame-ancestors"));
  await page.goto(`${stranger.origin}/?frame=${encodeURIComponent(await scrip.link("framed"))}`);
  await refused;
  assert.equal(await page.frameLocator("iframe").getByText("Available credits").count(), 0);
  assert.deepEqual(page.complaints, []);
});
