import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { manualPage, plain } from "../../src/base/manual.ts";
import { duration, flag, section } from "../../src/base/settings.ts";

/** What roff makes of escaped text. */
const read = (text: string): string =>
  text
    .replace(/^\\&/, "")
    .replace(/\\(?:\((rs|aq|ga|ha|ti|dq)|-)/g, (_, name: string | undefined) =>
      name === undefined ? "-" : ({ rs: "\\", aq: "'", ga: "`", ha: "^", ti: "~", dq: '"' }[name] ?? ""),
    );

const MACROS = ["TH", "SH", "SS", "PP", "TP", "BR", "br", "nh", "ad", "RS", "RE", "nf", "fi"];
const help = (text: string) => ({
  command: "infermesh x",
  summary: text,
  usage: ["[flags]"],
  operands: [{ name: "ID", doc: text }],
  settings: section({ waitMs: duration({ default: "5s", min: "1ms", max: "1h", doc: text === "" ? "Waits." : text }) }),
  examples: [[text, text]] as const,
  notes: [[text, text]] as const,
});

describe("text in a page", () => {
  test("is read as it was written, whatever it is", () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        const escaped = plain(text);
        expect(escaped).not.toMatch(/^[.']/);
        // oxlint-disable-next-line no-control-regex
        expect(read(escaped)).toBe(text.replace(/[\u0000-\u001f\u007f]/g, " "));
      }),
    );
  });

  test("is never taken for a macro", () => {
    const word = fc.oneof(fc.string(), fc.constantFrom(".SH", "'br", "\\fB", "a. B", ". C", "\n.PP", '"'));
    fc.assert(
      fc.property(fc.array(word), (words) => {
        const text = words.join(" ");
        const page = manualPage({
          name: "infermesh-x",
          version: "1",
          chapter: { help: help(text), below: [{ help: help(text), below: [] }] },
          sections: [[text, text]],
          seeAlso: ["infermesh"],
        });
        for (const line of page.split("\n")) {
          const macro = /^[.'](\S*)/.exec(line)?.[1];
          if (macro !== undefined) expect(MACROS).toContain(macro);
        }
      }),
    );
  });
});

test("a page has all that is said of its command, once", () => {
  const settings = section({
    waitMs: duration({ default: "5s", min: "1ms", max: "1h", doc: "How long to wait. Longer is safer." }),
    loud: flag({ default: false, short: "l", doc: "Says more." }),
    net: section(
      { pauseMs: duration({ default: "1s", min: "1ms", max: "1h", doc: "Between two tries." }) },
      { doc: "How it tries again." },
    ),
  });
  const chapter = {
    help: {
      command: "infermesh x",
      summary: "does things",
      usage: ["[ID] [flags]"],
      operands: [{ name: "[ID]", doc: "Whose." }],
      settings,
      extras: [{ name: "config", placeholder: "FILE", doc: "A file." }],
      examples: [["infermesh x -l", "Loudly."]] as const,
      notes: [["Exit codes", "0 well\n1 not"]] as const,
    },
    below: [{ help: { command: "infermesh x stop", summary: "stops", usage: [""] }, below: [] }],
  };
  const page = manualPage({
    name: "infermesh-x",
    version: "1.2",
    chapter,
    sections: [["Files", "None."]],
    seeAlso: ["infermesh"],
  });
  expect(page).toBe(`.TH "INFERMESH\\-X" 1 "" "infermesh 1.2" "User Commands"
.nh
.ad l
.SH NAME
infermesh\\-x \\- does things
.SH SYNOPSIS
\\fBinfermesh x\\fR [ID] [flags]
.SH DESCRIPTION
Does things.
.SH ARGUMENTS
.TP
\\fI[ID]\\fR
Whose.
.SH OPTIONS
.TP
\\fB\\-\\-wait\\fR \\fIDURATION\\fR
How long to wait.
Longer is safer.
A duration from 1ms to 1h (default 5s).
In a file wait, in the environment INFERMESH_WAIT.
.TP
\\fB\\-l\\fR, \\fB\\-\\-loud\\fR
Says more.
In a file loud, in the environment INFERMESH_LOUD.
.TP
\\fB\\-\\-config\\fR \\fIFILE\\fR
A file.
.SS "How it tries again"
.TP
\\fB\\-\\-net\\-pause\\fR \\fIDURATION\\fR
Between two tries.
A duration from 1ms to 1h (default 1s).
In a file net.pause, in the environment INFERMESH_NET_PAUSE.
.SH SUBCOMMANDS
.SS "infermesh x stop"
\\fBinfermesh x stop\\fR
.PP
Stops.
.SH EXAMPLES
Loudly.
.PP
.RS 4
.nf
infermesh x \\-l
.fi
.RE
.SH "EXIT CODES"
0 well
.PP
1 not
.SH "FILES"
None.
.SH SEE ALSO
.BR infermesh (1)
`);
});
