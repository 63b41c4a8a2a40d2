"""A real mail server for the tests: aiosmtpd, which says what it was handed and answers as it is told to.

Prints `port N`, then a line of JSON for each mail it was offered. Each line on its standard input is what it answers
from then on to a mail (`451 later`, `550 no such user`), or to whoever comes (`BANNER 554 no`), to a sender (`MAIL 550
no`), to a recipient (`RCPT 550 no such user`); `ok` for taking it. Ends when its standard input does.
"""
import asyncio
import json
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult

SECURITY, PLACE = sys.argv[1], sys.argv[2]


class Desk:
    answer = "ok"

    def says_to(self, command):
        told, _, words = self.answer.partition(" ")
        return words if told == command else None

    async def handle_MAIL(self, server, session, envelope, address, options):
        if answer := self.says_to("MAIL"):
            return answer
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(self, server, session, envelope, address, options):
        if answer := self.says_to("RCPT"):
            return answer
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        answer = self.answer
        mail = {
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "content": envelope.content.decode("utf-8", "replace"),
            "answer": answer,
            "tls": session.ssl is not None or SECURITY == "smtps",
            "user": session.auth_data.decode() if session.auth_data else None,
        }
        print(json.dumps(mail), flush=True)
        return "250 taken" if answer == "ok" else answer


def authenticator(server, session, envelope, mechanism, data):
    good = data.login == b"scrip" and data.password == b"s+cret@word"
    return AuthResult(success=good, auth_data=data.login if good else None)


class Server(SMTP):
    async def push(self, status):
        is_banner = isinstance(status, str) and status.startswith("220 ")
        await super().push(desk.says_to("BANNER") or status if is_banner else status)


desk = Desk()
options = {"hostname": "localhost"}
context = None
if SECURITY != "plain":
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{PLACE}/server.pem", f"{PLACE}/server.key")
    options |= {"authenticator": authenticator, "auth_required": True, "auth_require_tls": SECURITY != "smtps"}
if SECURITY == "starttls":
    options |= {"tls_context": context, "require_starttls": True}


async def main():
    loop = asyncio.get_running_loop()
    port = int(sys.argv[3]) if len(sys.argv) > 3 else 0
    wrapped = context if SECURITY == "smtps" else None
    server = await loop.create_server(lambda: Server(desk, **options), "127.0.0.1", port, ssl=wrapped)
    print("port", server.sockets[0].getsockname()[1], flush=True)
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        desk.answer = line.strip()
        print(json.dumps({"answers": desk.answer}), flush=True)


asyncio.run(main())
