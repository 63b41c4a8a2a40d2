// A server for a story, a client of its API, and a browser whose every complaint fails the story.
import { spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { once } from "node:events";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import assert from "node:assert/strict";
import { chromium } from "playwright-core";

const KEY = "scrip_0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
export const SIZES = { phone: { width: 360, height: 780 }, desktop: { width: 1440, height: 900 } };
export const SCHEMES = ["light", "dark"];

/** A program that says in its first line where it is. */
async function program(binary, args, env = process.env) {
  const child = spawn(binary, args, { env, stdio: ["ignore", "pipe", process.env.SCRIP_LOG ? "inherit" : "ignore"] });
  const line = await new Promise((resolve, reject) => {
    child.stdout.once("data", (it) => resolve(String(it)));
    child.once("error", reject);
    child.once("exit", (code) => reject(new Error(`${binary} ended with ${code}`)));
  });
  return { child, url: line.match(/http:\/\/[^\s;]+/)[0] };
}

async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}

/** `scrip serve` on an empty store, with a clock that can be moved. */
export class Scrip {
  /**
   * With `after`, another process on the data and the port of one that has stopped. With `stripe`, one that takes
   * payments from the simulator of Stripe. `config` is the text of a configuration file; `env` is added to the
   * environment; `directory` is where the data are, should they be kept.
   */
  static async start({ after, stripe = false, config, env: more = {}, directory: kept } = {}) {
    const directory = kept ?? after?.directory ?? (await mkdtemp(join(tmpdir(), "scrip-browser-")));
    const listen = after ? new URL(after.url).host : `127.0.0.1:${await freePort()}`;
    const binary = process.env.SCRIP_BIN ?? "../target/debug/scrip";
    const env = { ...process.env, SCRIP_ADMIN_KEY: KEY, SCRIP_SANDBOX: "1", ...more };
    const sim = stripe && (await program(join(dirname(binary), "stripe-sim"), ["127.0.0.1:0", `http://${listen}/v1/stripe/webhook`, "whsec_story"]));
    if (sim) {
      Object.assign(env, { STRIPE_API_BASE: sim.url, STRIPE_SECRET_KEY: "sk_test_story", STRIPE_WEBHOOK_SECRET: "whsec_story" });
    }
    const args = ["serve", "--listen", listen, "--data-dir", directory];
    if (config) {
      const file = join(directory, "scrip.toml");
      await writeFile(file, config);
      args.push("--config", file);
    }
    const { child, url } = await program(binary, args, env);
    return new Scrip({ child, directory, url, sim });
  }

  constructor(parts) {
    Object.assign(this, parts, { key: KEY, keys: 0, began: Date.now() });
  }

  async stop({ keep = false } = {}) {
    const ended = new Promise((resolve) => this.child.once("exit", resolve));
    this.child.kill();
    if (this.sim) this.sim.child.kill();
    await ended;
    if (!keep) await rm(this.directory, { recursive: true });
  }

  async ask(method, path, body) {
    const headers = { authorization: `Bearer ${KEY}`, "idempotency-key": `story-${this.began}-${++this.keys}` };
    if (body) headers["content-type"] = "application/json";
    const answer = await fetch(this.url + path, { method, headers, body: body && JSON.stringify(body) });
    const text = await answer.text();
    assert.ok(answer.ok, `${method} ${path}: ${answer.status} ${text}`);
    return text ? JSON.parse(text) : null;
  }

  /** An account with its welcome credits. */
  account(id, profile = {}) {
    return this.ask("PUT", `/v1/accounts/${id}`, { name: "Ada Lovelace", timezone: "Europe/Vilnius", ...profile });
  }

  /** A chat: 8 000 input tokens of this model cost a credit. */
  chat(account, tokens, more = {}) {
    return this.ask("POST", "/v1/charges", {
      account, meter: "ai_chat", dimensions: { model: "gpt-6.1-terra" }, project: "storefront", actor: "ada",
      quantities: { input_tokens: tokens }, idempotency_key: `chat-${++this.keys}`, ...more,
    });
  }

  async link(account, role = "owner", more = {}) {
    return (await this.ask("POST", `/v1/accounts/${account}/portal-sessions`, { role, ...more })).url;
  }

  async advance(account, seconds) {
    const { as_of } = await this.ask("GET", `/v1/accounts/${account}/balance`);
    const to = new Date(Date.parse(as_of) + seconds * 1000).toISOString();
    await this.ask("POST", "/v1/test-clock/advance", { to });
  }
}

export async function browser() {
  const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
  return chromium.launch({ executablePath, args: ["--no-sandbox"] });
}

/** A tab of its own person. What the browser complains of (a blocked script, a missing file) fails the story. */
export async function tab(chrome, options = {}) {
  const { expected = [], ...rest } = options;
  const context = await chrome.newContext({ viewport: SIZES.desktop, ...rest });
  const page = await context.newPage();
  // What is waited for comes at once or never; what a busy machine needs is far less.
  page.setDefaultTimeout(15_000);
  page.complaints = [];
  const note = (text) => {
    if (!expected.some((it) => text.includes(it))) page.complaints.push(text);
  };
  page.on("console", (it) => it.type() === "error" && note(it.text()));
  page.on("pageerror", (it) => note(String(it)));
  page.on("request", (it) => {
    const { protocol, hostname } = new URL(it.url());
    if (protocol.startsWith("http") && hostname !== "127.0.0.1") note(`asked ${it.url()}`);
  });
  return page;
}

/**
 * Loads the page again until `is_there` says yes: what others bring about, the worker or the payment provider, comes a
 * moment later. Each look waits for a page, so no time is spent asleep.
 */
export async function eventually(page, is_there, within = 30_000) {
  const until = performance.now() + within;
  while (!(await is_there())) {
    assert.ok(performance.now() < until, `not there within ${within} ms: ${is_there}`);
    await page.reload();
  }
}

/** The page follows its account: what happens from now on shows by itself. */
export async function live(page) {
  await page.locator("html[data-stream=live]").waitFor();
}

/** Nothing to object to, neither by axe nor by the browser; and nothing wider than the page, or than its own place. */
export async function sound(page, what) {
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() => axe.run(document));
  const said = violations.map((it) => `${it.id}: ${it.help}\n  ${it.nodes.map((node) => node.html).slice(0, 3).join("\n  ")}`);
  assert.deepEqual(said, [], `axe-core on ${what}`);
  assert.deepEqual(page.complaints, [], `the browser on ${what}`);
  const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  assert.ok(overflow <= 0, `${what} is ${overflow} pixels too wide: ${await page.evaluate(beyond)}`);
  assert.deepEqual(await page.evaluate(cramped), [], `beyond its place on ${what}`);
}

/** What reaches beyond the page, innermost last. */
function beyond() {
  const reaches = [...document.querySelectorAll("main *")].filter((it) => innerWidth + 0.5 < it.getBoundingClientRect().right && !it.closest(".scroll *"));
  return reaches.map((it) => `${it.tagName}.${it.className}`).slice(0, 8).join(", ");
}

/** What runs over what stands beside it, or is cut off by its end; not what is scrolled, or says that it is shortened. */
function cramped() {
  const apart = ".scroll, .sr, .presets, .tabs, .bars, .scale, svg, select, input, textarea";
  const is_cramped = (it) => 0 < it.clientWidth && it.clientWidth + 1 < it.scrollWidth && !it.closest(apart) && !it.querySelector(apart) && getComputedStyle(it).textOverflow !== "ellipsis" && !["auto", "scroll"].includes(getComputedStyle(it).overflowX);
  return [...document.querySelectorAll("main *")].filter(is_cramped).map((it) => `${it.className}: ${it.textContent.trim().slice(0, 60)}`);
}
