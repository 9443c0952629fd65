/** ns to find the model in a body: a chat of 1 KB, token ids, whole and in pieces, and a form with a file; JSON.parse beside. */
import { measure } from "mitata";
import { BodyFields } from "../../src/wire/json-field.ts";
import { MultipartField } from "../../src/wire/multipart-field.ts";
import { report } from "../report.ts";

const MODEL = "llama-3.1-8b";

const chat = (bytes: number): Buffer =>
  Buffer.from(
    JSON.stringify({
      model: MODEL,
      messages: [
        { role: "system", content: "You are helpful." },
        { role: "user", content: "Say it again. ".repeat(bytes / 14) },
      ],
      stream: true,
      max_tokens: 256,
      temperature: 0.7,
    }),
  );

const CHAT = chat(900);
const LONG_CHAT = chat(60_000);
const QUOTED = Buffer.from(JSON.stringify({ prompt: '{"a": "b\\n"}\n'.repeat(50), model: MODEL }));
const IDS = Buffer.from(JSON.stringify({ prompt: Array.from({ length: 220 }, (_, i) => i * 37), model: MODEL }));
const FORM = Buffer.concat([
  Buffer.from('--xyz\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'),
  Buffer.alloc(60_000, "\x01\x02\x03\r"),
  Buffer.from(`\r\n--xyz\r\nContent-Disposition: form-data; name="model"\r\n\r\n${MODEL}\r\n--xyz--\r\n`),
]);

const fields = new BodyFields();
const form = new MultipartField("xyz");

function find(reader: BodyFields | MultipartField, bytes: Buffer, piece = bytes.length): () => void {
  return () => {
    reader.reset();
    for (let at = 0; at < bytes.length; at += piece) reader.push(bytes, at, Math.min(bytes.length, at + piece));
    if (reader.finish() !== "done" || !reader.hasModel) throw new Error(reader.reason);
  };
}

const CASES: readonly (readonly [string, Buffer, () => void])[] = [
  ["chat", CHAT, find(fields, CHAT)],
  ["chat in pieces of 100", CHAT, find(fields, CHAT, 100)],
  ["long chat", LONG_CHAT, find(fields, LONG_CHAT)],
  ["prompt full of quotes", QUOTED, find(fields, QUOTED)],
  ["token ids", IDS, find(fields, IDS)],
  ["form with a file full of CRs", FORM, find(form, FORM)],
  ["JSON.parse of the chat", CHAT, () => void JSON.parse(CHAT.toString())],
];

const rows = [];
for (const [name, bytes, run] of CASES) {
  const { min, p50, p99 } = await measure(run);
  rows.push({ name, bytes: bytes.length, nsLeast: min, nsMedian: p50, nsP99: p99 });
}
await report("fields", { rows });
