// A month of one customer, the same every time: what pictures are taken of.

/** Registers `acme` and does a month of work for it. */
export async function filled(scrip) {
  await scrip.account("acme", { name: "Acme Robotics" });
  await scrip.ask("POST", "/v1/accounts/acme/grants", { credits: "5000", source: "purchase", reason: "Package: 5 000 credits" });
  for (const [project, name] of [["storefront", "Storefront"], ["data-pipeline", "Data pipeline"], ["mobile-app", "Mobile app"]]) {
    await scrip.ask("PUT", `/v1/accounts/acme/projects/${project}`, { name });
  }
  await scrip.ask("POST", "/v1/charges/batch", month());
}

/** Thirty days of work, the same every time. */
function month() {
  let seed = 7;
  const random = (most) => (seed = (seed * 48271) % 2147483647) % most;
  const pick = (from) => from[random(from.length)];
  const day = 86_400_000;
  const charges = [];
  for (let ago = 29; ago >= 0; ago--) {
    const add = (charge) => {
      const at = Date.now() - ago * day - random(day / 3);
      charges.push({ account: "acme", idempotency_key: `month-${charges.length}`, at: new Date(at).toISOString(), ...charge });
    };
    const project = () => pick(["storefront", "storefront", "data-pipeline", "mobile-app", undefined]);
    for (let count = 4 + random(10); count > 0; count--) {
      const failed = random(20) === 0;
      add({
        meter: "ai_chat", project: project(), actor: pick(["ada", "grace", "linus"]),
        dimensions: { model: pick(["claude-sonnet-5-5", "gpt-6.1-terra", "mistral-medium-3.5"]), ...(failed && { outcome: "failed" }) },
        quantities: { input_tokens: 2_000 + random(20_000), output_tokens: failed ? 0 : 400 + random(4_000) },
      });
    }
    if (ago % 9 === 4) add({ meter: "code_analysis", project: project(), dimensions: { tree: `t${ago}` }, quantities: { code_lines: 20_000 + random(50_000), files: 300 } });
    if (ago % 7 === 2) add({ meter: "infra_plan", project: project(), quantities: { points: 10 + random(60) } });
    if (ago === 24) add({ meter: "server", project: "storefront", resource: "web-1", dimensions: { tier: "entry-level" }, quantities: { provisioned: 1 } });
    if (ago < 24) add({ meter: "server", project: "storefront", resource: "web-1", dimensions: { tier: "entry-level" }, quantities: { runtime_seconds: 80_000 } });
  }
  return charges.sort((one, other) => one.at.localeCompare(other.at));
}
