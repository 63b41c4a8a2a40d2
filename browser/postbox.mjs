// A mail server that takes what it is handed, and keeps the subjects: enough of SMTP for a story.
import { createServer } from "node:net";
import { once } from "node:events";

export async function postbox() {
  const subjects = [];
  const server = createServer((line) => {
    let [letter, rest] = [null, ""];
    line.write("220 postbox\r\n");
    line.on("error", () => {});
    line.on("data", (data) => {
      rest += data;
      for (let end = rest.indexOf("\r\n"); end >= 0; end = rest.indexOf("\r\n")) {
        const said = rest.slice(0, end);
        rest = rest.slice(end + 2);
        if (letter === null) {
          const verb = said.slice(0, 4).toUpperCase();
          if (verb === "DATA") letter = [];
          line.write({ DATA: "354 go on\r\n", QUIT: "221 bye\r\n" }[verb] ?? "250 fine\r\n");
        } else if (said === ".") {
          subjects.push(letter.find((it) => it.startsWith("Subject: "))?.slice(9));
          letter = null;
          line.write("250 kept\r\n");
        } else {
          letter.push(said);
        }
      }
    });
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  return { url: `smtp://127.0.0.1:${server.address().port}`, subjects, close: () => server.close() };
}
