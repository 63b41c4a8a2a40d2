// How long it takes until a page is seen, as an account's entries grow: node paint.mjs 1000 100000 1000000, with SCRIP_BIN
// set to a release build. Everything is made through the public API; the figures are the browser's own. With
// PAINT_DIRECTORY the store is kept there and filled over several runs: PAINT_SECONDS says how long one may fill.
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { Scrip, browser, SIZES } from "./scrip.mjs";

const PAGES = [
  ["Usage", "/settings/usage"],
  ["Usage, 12 months", "/settings/usage?range=12m"],
  ["Usage, one project", "/settings/usage?project=storefront"],
  ["Activity", "/settings/activity"],
  ["Activity, one model", "/settings/activity?model=gpt-6.1-terra"],
  ["Billing", "/settings/billing"],
  ["Estimate", "/settings/estimate"],
];
const BATCH = 10_000;
const VISITS = 7;
const DAYS = 30;

const counts = process.argv.slice(2).map(Number);
const directory = process.env.PAINT_DIRECTORY;
const deadline = performance.now() + 1_000 * Number(process.env.PAINT_SECONDS ?? 3_600);
if (directory) await mkdir(directory, { recursive: true });
const scrip = await Scrip.start({ stripe: true, directory });
const chrome = await browser();
try {
  for (const count of counts.length ? counts : [1_000, 100_000]) {
    const began = performance.now();
    if (!(await fill(`entries-${count}`, count))) continue;
    console.log(`${count} entries in ${Math.round((performance.now() - began) / 100) / 10} s`);
    for (const [name, path] of PAGES) console.log(JSON.stringify({ page: name, ...(await seen(`entries-${count}`, path)) }));
  }
} finally {
  await chrome.close();
  await scrip.stop({ keep: Boolean(directory) });
}

/** An account with so many charges, spread over a month, three projects, five models and four people. */
async function fill(account, count) {
  const note = directory && `${directory}/${account}.json`;
  // Where it was left: what is told again has to be the same, times too.
  const { until, before } = note ? await readFile(note, "utf8").then(JSON.parse, () => ({ until: Date.now(), before: 0 })) : { until: Date.now(), before: 0 };
  if (!before) {
    await scrip.account(account);
    await scrip.ask("POST", `/v1/accounts/${account}/grants`, { credits: "9000000", source: "purchase", reason: "Paint" });
  }
  const models = ["claude-sonnet-5-5", "gpt-6.1-terra", "gemini-3.8-flash", "claude-haiku-5-5", "mistral-medium-3.5"];
  const [projects, people] = [["storefront", "data-pipeline", "mobile-app"], ["ada", "grace", "linus", "barbara"]];
  const from = until - DAYS * 86_400_000;
  for (let done = before; done < count; done += BATCH) {
    if (deadline < performance.now()) {
      console.log(`${account}: ${done} so far; run it again to go on`);
      return false;
    }
    const batch = Array.from({ length: Math.min(BATCH, count - done) }, (_, place) => {
      const number = done + place;
      return {
        account, meter: "ai_chat", dimensions: { model: models[number % 5] }, project: projects[number % 3], actor: people[number % 4],
        quantities: { input_tokens: 500 + (number % 997), output_tokens: 200 }, idempotency_key: `paint-${number}`,
        at: new Date(from + ((until - from) * number) / count).toISOString(),
      };
    });
    const { refused } = await scrip.ask("POST", "/v1/charges/batch", batch);
    if (refused) throw new Error(`${refused} charges were refused`);
    if (note) await writeFile(note, JSON.stringify({ until, before: done + batch.length }));
  }
  return true;
}

/** Medians of several visits: the first byte, the first paint, and what came over the line. */
async function seen(account, path) {
  const visits = [];
  for (let visit = 0; visit <= VISITS; visit++) {
    const context = await chrome.newContext({ viewport: SIZES.desktop });
    const page = await context.newPage();
    await page.goto(await scrip.link(account));
    await page.goto(scrip.url + path, { waitUntil: "load" });
    await page.waitForFunction(() => performance.getEntriesByName("first-contentful-paint").length);
    visits.push(await page.evaluate(() => {
      const [navigation] = performance.getEntriesByType("navigation");
      return {
        server: navigation.responseEnd - navigation.requestStart,
        paint: performance.getEntriesByName("first-contentful-paint")[0].startTime,
        kilobytes: navigation.decodedBodySize / 1024,
      };
    }));
    await context.close();
  }
  // The first visit is to a store that has been read by nobody.
  const [first, ...rest] = visits;
  const median = (of) => Math.round(rest.map((it) => it[of]).sort((one, other) => one - other)[VISITS >> 1] * 10) / 10;
  return { "answered, ms": median("server"), "first paint, ms": median("paint"), "slowest, ms": Math.round(Math.max(...visits.map((it) => it.paint))), "first ever, ms": Math.round(first.paint), "page, KB": median("kilobytes") };
}
