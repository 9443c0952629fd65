import { expect, test } from "bun:test";
import { MemberLog } from "../../src/mesh/member-log.ts";
import type { SwimEvent, SwimEventKind } from "../../src/swim/event.ts";

const event = (kind: SwimEventKind, id: string): SwimEvent => ({
  kind,
  id,
  address: `${id}:1`,
  incarnation: 1,
  cause: "why",
});

function log(): { readonly lines: unknown[]; readonly members: MemberLog } {
  const lines: unknown[] = [];
  const put =
    (level: string) =>
    (message: string, fields?: Record<string, unknown>): void =>
      void lines.push([level, message, fields]);
  return { lines, members: new MemberLog({ info: put("info"), warn: put("warn") }) };
}

const line = (level: string, kind: string, id: string): unknown => [
  level,
  `member ${kind}`,
  { member: id, address: `${id}:1`, cause: "why" },
];

test("one that joins has a line; many that join in one turn have one together, which names five", async () => {
  const { lines, members } = log();
  members.told(event("joined", "a"));
  await Promise.resolve();
  for (const id of ["b", "c"]) members.told(event("joined", id));
  await Promise.resolve();
  for (const id of ["d", "e", "f", "g", "h", "i", "j"]) members.told(event("joined", id));
  await Promise.resolve();
  expect(lines).toEqual([
    line("info", "joined", "a"),
    ["info", "members joined", { count: 2, members: "b, c" }],
    ["info", "members joined", { count: 7, members: "d, e, f, g, h, 2 more" }],
  ]);
});

test("lines come in the order of events, once each, and bad news loudly", async () => {
  const { lines, members } = log();
  for (const id of ["a", "b"]) members.told(event("joined", id));
  members.told(event("failed", "a"));
  members.told(event("joined", "c"));
  members.told(event("left", "b"));
  await Promise.resolve();
  expect(lines).toEqual([
    ["info", "members joined", { count: 2, members: "a, b" }],
    line("warn", "failed", "a"),
    line("info", "joined", "c"),
    line("info", "left", "b"),
  ]);
});
