/** Framing by names that a server behind the relay may read as others. */
import { expect, test } from "bun:test";
import { answer, ask, CHAT, CLOSE, fixtures, ok, statusOf, until } from "./harness.ts";
import { StrictUpstream } from "./strict-upstream.ts";

const { upstream, relay } = fixtures();
const HEAD = "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n";

test.each(["transfer_encoding: chunked\r\n", "Transfer_Encoding: chunked\r\n", "content_length: 4\r\n"])(
  "%p is refused or dropped: servers that turn names into variables take it for the field itself",
  async (line) => {
    const up = upstream(ok);
    const relayed = relay([up.port]);
    const status = statusOf(
      await ask(relayed.port, `${HEAD}${line}content-length: ${CHAT.length}\r\n${CLOSE}\r\n${CHAT}`),
    );
    await until(() => relayed.inFlight === 0);
    if (status === 200) expect(up.requests[0]).not.toMatch(/transfer_encoding|content_length/i);
    else expect(status).toBe(400);
  },
);

test.each(["content-length: 9", "transfer-encoding: chunked", "host: evil", "authorization: Bearer x"])(
  "a trailer is not the place for %p (RFC 9110 section 6.5.1)",
  async (trailer) => {
    const up = new StrictUpstream(() => answer("{}"));
    const relayed = relay([up.port]);
    const body = `${CHAT.length.toString(16)}\r\n${CHAT}\r\n0\r\n${trailer}\r\n\r\n`;
    const text = await ask(relayed.port, `${HEAD}transfer-encoding: chunked\r\n${CLOSE}\r\n${body}`);
    up.stop();
    if (statusOf(text) === 200) expect(up.requests[0]?.body).not.toContain(trailer);
    else expect(statusOf(text)).toBe(400);
  },
);

test("the host of an absolute target replaces the Host field (RFC 9112 section 3.2.2)", async () => {
  const up = upstream(ok);
  const relayed = relay([up.port]);
  const line = "POST http://other:81/v1/chat/completions HTTP/1.1\r\nhost: x\r\n";
  await ask(relayed.port, `${line}content-length: ${CHAT.length}\r\n${CLOSE}\r\n${CHAT}`);
  expect(up.requests[0]).toContain("host: other:81\r\n");
});
