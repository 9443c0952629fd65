/**
 * An agent's door to native/: what goes along the lines of pages of metrics in C where the library opens, and does on a few
 * pages as its TypeScript twin; else the twin.
 */
import libraryPath from "../dist/native/libscorer.so" with { type: "file" };
import { type Opened, openSymbols } from "./native-library.ts";
import { Followed, followLines, type FollowLines, LINE, LineTable, ODD_MAX } from "./wire/prometheus-lines.ts";

const SYMBOLS = {
  infermesh_follow: {
    args: ["ptr", "ptr", "i32", "ptr", "i32", "ptr", "ptr", "i32", "ptr"],
    returns: "void",
  },
} as const;

export interface Follower {
  readonly kind: "c" | "typescript";
  readonly follow: FollowLines;
}

/** Of this thread. */
let opened: Follower | undefined;

export function openFollower(path: string = libraryPath): Follower {
  if (path !== libraryPath) return followerAt(path);
  return (opened ??= followerAt(path));
}

function followerAt(path: string): Follower {
  try {
    const follow = followerOf(openSymbols(path, SYMBOLS).symbols);
    if (isTwin(follow)) return { kind: "c", follow };
  } catch {
    // Whatever it is, it costs time and nothing else.
  }
  return { kind: "typescript", follow: followLines };
}

/** What C says of how far it came: five words. */
function followerOf({ infermesh_follow: call }: Opened<typeof SYMBOLS>["symbols"]): FollowLines {
  const told = new Int32Array(new ArrayBuffer(20));
  return ({ bytes, words, lines, figures }, page, end, into) => {
    into.begin(figures);
    // Nothing has no address.
    if (end === 0) return;
    call(bytes, words, lines, page, end, into.values, into.odd, ODD_MAX, told);
    [into.lines = 0, into.at = 0, into.length = 0, into.figures = 0, into.odds = 0] = told;
  };
}

/** Whether both come as far along lines of each kind, with the same numbers. */
function isTwin(follow: FollowLines): boolean {
  const encoder = new TextEncoder();
  const table = new LineTable();
  const kinds = [
    ['c{le="0.5",model="a-long-name"} ', LINE.figure],
    ["# HELP ", LINE.skip],
    ["", LINE.read],
    ["g ", LINE.figure],
  ] as const;
  for (const [text, kind] of kinds) table.add(encoder.encode(text), 0, text.length, kind);
  const ways = [follow, followLines].map((way) => ({ way, into: new Followed() }));
  return ["12.5", "-1e-7", "0.1", "1 2", "x"].every((number) =>
    ["g 3\n", "g 3", "h 3\n", ""].every((last) => {
      const page = encoder.encode(`${kinds[0][0]}${number}\n# HELP it\nx 1\n${last}`);
      const [ours, theirs] = ways.map(({ way, into }) => {
        into.values.fill(0);
        way(table, page, page.length, into);
        const { lines, at, length, figures, odds, values, odd } = into;
        return [lines, at, length, figures, odds, ...values.subarray(0, 2), ...odd.subarray(0, odds * 4)];
      });
      return Bun.deepEquals(ours, theirs);
    }),
  );
}
