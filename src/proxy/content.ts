/**
 * What the settings do to requests and answers on their way: other names for models, rules, kept answers, what targets
 * are told of clients, what browsers are told of answers. Made anew when these settings change; a request goes on with
 * what it began with.
 *
 * By default nothing is done, and a request is asked once whether that is so (`isIdle`).
 */
import { Aliases } from "../flow/aliases.ts";
import type { AliasConfig } from "../flow/aliases.ts";
import { ResponseCache } from "../flow/response-cache.ts";
import type { CacheConfig } from "../flow/response-cache.ts";
import type { ForwardedConfig } from "../wire/forwarded.ts";
import { Rewrites } from "../wire/rewrite.ts";
import type { HeaderRewrite } from "../wire/rewrite.ts";
import type { RewriteConfig } from "../wire/rewrite-settings.ts";
import { securityHeaders } from "../wire/security-headers.ts";
import type { SecurityConfig } from "../wire/security-headers.ts";
import { type UpstreamKey, UpstreamKeys } from "../wire/upstream-keys.ts";
import type { CacheSeat } from "./cache-seat.ts";
import { Forwarding } from "./forwarding.ts";

export interface ContentSettings {
  readonly aliases: AliasConfig;
  readonly rewrite: RewriteConfig;
  /** What targets are shown in place of what clients show; secret. */
  readonly upstreamKeys: readonly UpstreamKey[];
  readonly cache: CacheConfig;
  readonly forwarded: ForwardedConfig;
  readonly security: SecurityConfig;
}

export class Content {
  readonly aliases: Aliases;
  readonly rewrites: Rewrites;
  /** For calls of gRPC; those of HTTP are among the rewrites. */
  readonly upstreamKeys: UpstreamKeys;
  /** Null: no answer is kept. */
  readonly cache: ResponseCache<CacheSeat> | null;
  /** What is kept, and by which headers it is told apart. */
  readonly cacheConfig: CacheConfig;
  readonly forwarding: Forwarding;
  /** What is done to the headers of every answer; null: nothing. */
  readonly security: HeaderRewrite | null;
  /** Lines for the heads of the router's own answers. */
  readonly replyFields: string;
  /** Nothing is done to requests, nor to the answers of targets. */
  readonly isIdle: boolean;
  readonly #made: string;

  /** `scheme` is what clients speak; `seed` any number that they can't know. */
  constructor(settings: ContentSettings, scheme: "http" | "https", seed: number) {
    this.aliases = new Aliases(settings.aliases);
    this.upstreamKeys = new UpstreamKeys(settings.upstreamKeys);
    this.rewrites = new Rewrites(settings.rewrite, this.upstreamKeys);
    this.cache = settings.cache.enabled ? new ResponseCache(settings.cache, seed) : null;
    this.cacheConfig = settings.cache;
    this.forwarding = new Forwarding(settings.forwarded, scheme);
    this.security = securityHeaders(settings.security, scheme === "https");
    this.replyFields = this.security === null ? "" : Buffer.from(this.security.lines).toString("latin1");
    this.isIdle = this.aliases.isEmpty && this.rewrites.isEmpty && this.cache === null && this.security === null;
    this.#made = written(settings);
  }

  /** Whether these settings would make another one. */
  differsFrom(settings: ContentSettings): boolean {
    return this.#made !== written(settings);
  }

  /** Lets requests go that have waited too long for another's answer; call it now and then. */
  sweep(nowMs: number): void {
    if (this.cache === null) return;
    for (const seat of this.cache.expire(nowMs)) seat.alone();
  }
}

function written({ aliases, rewrite, upstreamKeys, cache, forwarded, security }: ContentSettings): string {
  return JSON.stringify([aliases, rewrite, upstreamKeys, cache, forwarded, security]);
}
