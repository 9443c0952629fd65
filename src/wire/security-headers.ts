/**
 * Headers that make browsers careful with what a model wrote, and that keep a target's software to itself: a fixed set
 * of lines, made once, in place of whatever the target says.
 *
 * Off by default: the clients of an inference API are programs, which none of this concerns, and every answer would be
 * longer. "minimal" is what an API owes to browsers that reach it: text that a model wrote must not be taken for a page.
 */
import { choice, duration, flag, section } from "../base/settings.ts";
import type { Infer } from "../base/settings.ts";
import { HeaderRewrite } from "./rewrite.ts";

export const securitySettings = section({
  headers: choice(["off", "minimal", "strict"], {
    default: "off",
    doc: "Security headers of answers. minimal: x-content-type-options. strict: also that answers are shown in no frame, load nothing, and are read by no other site without CORS.",
  }),
  hstsMs: duration({
    default: 0,
    max: "730d",
    emptyMeans: "not sent",
    doc: "How long browsers shall use TLS only for this host (strict-transport-security); sent over TLS alone. Hard to take back: it concerns every port and service of the host.",
  }),
  hideServer: flag({
    default: false,
    doc: "Leave out the target's server and x-powered-by headers, which tell its software and version.",
  }),
});

export type SecurityConfig = Infer<typeof securitySettings>;

type Line = readonly [name: string, value: string];

const MINIMAL: readonly Line[] = [["x-content-type-options", "nosniff"]];
const STRICT: readonly Line[] = [
  ...MINIMAL,
  ["content-security-policy", "default-src 'none'; frame-ancestors 'none'"],
  ["x-frame-options", "DENY"],
  ["referrer-policy", "no-referrer"],
  ["cross-origin-resource-policy", "same-origin"],
];
const SOFTWARE: readonly string[] = ["server", "x-powered-by"];

/** What is done to the headers of every answer, the router's own included; null: nothing. `tls`: the client's side. */
export function securityHeaders({ headers, hstsMs, hideServer }: SecurityConfig, tls: boolean): HeaderRewrite | null {
  const lines: Line[] = headers === "off" ? [] : [...(headers === "minimal" ? MINIMAL : STRICT)];
  if (tls && hstsMs > 0) lines.push(["strict-transport-security", `max-age=${Math.floor(hstsMs / 1000)}`]);
  const dropped = [...lines.map(([name]) => name), ...(hideServer ? SOFTWARE : [])];
  return dropped.length === 0 ? null : new HeaderRewrite(dropped, lines);
}
