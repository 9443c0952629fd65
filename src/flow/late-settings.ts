/** How requests are held and bound late. */
import { duration, flag, integer, number, section, type Infer } from "../base/settings.ts";

export const lateSettings = section({
  enabled: flag({
    default: true,
    doc: "Requests of models that no policy gives another way to balance are held while every target that could take them is at work, and bound when one is about to be free.",
  }),
  shared: flag({
    default: true,
    doc: "One router of the mesh decides for a model, for all that know the same targets for it, so that there is one order among all requests that wait. Otherwise each decides for what came to it, beside what the others have.",
  }),
  untold: flag({
    default: false,
    doc: "Also at targets that do not tell how fast they compute prompts, as upstreams without an agent or metrics: nobody knows how fast they are and how many servers are behind them, so else they count as free until they are full.",
  }),
  horizonMs: duration({
    default: "80ms",
    min: "1ms",
    max: "10s",
    doc: "A target takes its next prompt when it will have computed what it has within this time. Too short, and its engine runs dry between two prompts; too long, and what waits there can't be reordered any more.",
  }),
  patienceMs: duration({
    default: "2s",
    min: "10ms",
    max: "1h",
    doc: "Requests that can't have their first token by then any more wait behind those that can. What is promised to users is best.",
  }),
  waitMsMax: duration({
    default: "20s",
    min: "10ms",
    max: "1h",
    doc: "Whoever has waited that long goes before others of its priority, within overdueShare, and from half as long again on in any case. In a router it is two thirds of flow.queue.waitMsMax at most, which is the longest wait of all.",
  }),
  overdueShare: number({
    default: 0.2,
    max: 1000,
    doc: "How much work such requests may have done before others, for each unit of work that others get: were it all, an overload would make everybody wait as long.",
  }),
  ageWeight: number({
    default: 1,
    max: 100,
    doc: "How much work a waiting request may be ahead of another for each unit of time that it came earlier: 0 is shortest work first, much is first come, first served.",
  }),
  lateAgeWeight: number({
    default: 0.05,
    max: 100,
    doc: "The same among requests that are out of patience.",
  }),
  tenantWeight: number({
    default: 4,
    max: 100,
    doc: "How much each millisecond of work that a tenant got more than another that waits counts against it: 0 knows no tenants.",
  }),
  missWeight: number({
    default: 0.3,
    max: 100,
    doc: "What work that another target's cache would have saved costs each request that waits, as a part of that work.",
  }),
  homeWeight: number({
    default: 8,
    max: 100,
    doc: "The same, where the question is whether a request is kept for the home of its prefix, that would answer within homeShare, and another request can go in its place: who is in time all the same loses nothing by waiting, and the others gain.",
  }),
  spareWeight: number({
    default: 0.9,
    max: 100,
    doc: "The same, where no other request goes in its place and the target would idle: that costs something too, so what is saved counts for less.",
  }),
  homeShare: number({
    default: 0.75,
    max: 1,
    doc: "Part of the time in which a first token is wanted by which the prefix's home must be thought to answer for that; the rest is for what may come between.",
  }),
  missQueueMax: number({
    default: 3,
    max: 1000,
    doc: "Requests waiting for each target that are counted for it at most.",
  }),
  lateShare: number({
    default: 0.9,
    max: 1,
    doc: "Part of the targets that may be at long work when a prompt of lateWork begins whose request is out of patience; for one of twice that work half of it, and so on.",
  }),
  lateWorkMs: duration({
    default: "1s",
    min: "1ms",
    max: "1h",
    doc: "From here on a target's work is long.",
  }),
  loadMs: duration({
    default: "0.5ms",
    max: "10s",
    doc: "What each request that a target has makes it dearer, where prompts have usualTokens on average, and as many times that as they have more: their tokens slow its prompts and all its answers down.",
  }),
  usualTokens: integer({
    default: 1000,
    min: 1,
    max: 1_000_000,
    doc: "A prompt by which targets are compared where nothing of the request is cached; and what a request costs its tenant beside its own prompt, since its answer costs others something too.",
  }),
  refreshMs: duration({
    default: "100ms",
    min: "1ms",
    max: "1m",
    doc: "How old what is known of a waiting request's cached prefixes may be.",
  }),
  silenceMs: duration({
    default: "250ms",
    min: "50ms",
    max: "1m",
    doc: "After so long without a sign of the thread that decides for all workers, each binds what it holds by itself, to the target with the least expected time to first token that has little enough to do. After so long without a sign of the router that decides, a router decides by itself.",
  }),
  scanMax: integer({
    default: 1024,
    min: 1,
    max: 1_000_000,
    doc: "Waiting requests that are looked at for a binding, those first that came first.",
  }),
});

export type LateConfig = Infer<typeof lateSettings>;
