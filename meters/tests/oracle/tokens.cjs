// Another tokenizer's counts: reads a JSON list of texts, writes for each a list of counts, one per encoding.
// Usage: node tokens.cjs NODE_MODULES ENCODING… < texts.json
const path = require("node:path");
const [modules, ...names] = process.argv.slice(2);
const load = (name) => require(path.join(modules, "gpt-tokenizer", "cjs", "encoding", name + ".js"));
const encodings = names.map(load);
// Control tokens in a text are plain text to us, so they must be to the oracle.
const plain = { allowedSpecial: new Set(), disallowedSpecial: new Set() };
const texts = JSON.parse(require("node:fs").readFileSync(0, "utf8"));
process.stdout.write(JSON.stringify(texts.map((text) => encodings.map((e) => e.encode(text, plain).length))));
