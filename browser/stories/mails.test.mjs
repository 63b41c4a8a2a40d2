// What an account is written to about: chosen on the billing page, and seen there once it was sent.
import { after, before, test } from "node:test";
import assert from "node:assert/strict";
import { postbox } from "../postbox.mjs";
import { SIZES, Scrip, browser, eventually, sound, tab } from "../scrip.mjs";

let scrip, chrome, post;
before(async () => {
  post = await postbox();
  scrip = await Scrip.start({ stripe: true, env: { SMTP_URL: post.url }, config: 'low_balance_credits = "500"\n[mail]\nfrom = "Scrip <billing@example.com>"\n' });
  chrome = await browser();
});
after(async () => {
  await chrome?.close();
  await scrip?.stop();
  post?.close();
});

test("what one is written about is chosen, and what was written is listed with what became of it", async () => {
  await scrip.account("reader", { email: "ada@example.com" });
  const page = await tab(chrome);
  await page.goto(await scrip.link("reader", "owner", { page: "billing" }));
  const mails = page.locator("#mails");
  await mails.getByText("Sent to ada@example.com").waitFor();
  const low = mails.getByRole("checkbox", { name: "Low balance and runway" });
  for (const wanted of [false, true]) {
    await low.setChecked(wanted);
    await mails.getByRole("button", { name: "Save what we write about" }).click();
    await page.waitForURL(/#mails/);
    await page.reload();
    assert.equal(await low.isChecked(), wanted, "it is kept");
  }
  // Of the 900 there were 450 are left, which is few here.
  await scrip.chat("reader", 8_000 * 450);
  await eventually(page, async () => (await mails.locator("tbody tr").filter({ hasText: "sent" }).count()) > 0);
  assert.match(await mails.locator("tbody").innerText(), /to a…@example\.com/);
  assert.ok(post.subjects.length, "it was handed to the mail server");
  await sound(page, "the e-mails of an account");
});

test("an address of any length stays on a phone", async () => {
  await scrip.account("long", { email: `${"long.".repeat(9)}name@${"subdomain.".repeat(6)}example.com` });
  const page = await tab(chrome, { viewport: SIZES.phone });
  await page.goto(await scrip.link("long", "owner", { page: "billing" }));
  await page.locator("#mails").getByText("subdomain.example.com").waitFor();
  await sound(page, "the e-mails of an account with a long address");
});
