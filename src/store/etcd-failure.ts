/**
 * What went wrong with a request to etcd: what it means, whether it may have been carried out all the same, and what
 * to do next. Codes and texts are etcd's own (api/v3rpc/rpctypes), by which its Go client decides as well.
 */
import type { ServiceError } from "@grpc/grpc-js";
import { status } from "@grpc/grpc-js";
import { MeshError } from "../base/errors.ts";

/**
 * `elsewhere`: another endpoint may do better, and so may this one later. `login`: with a fresh token.
 * `compacted`: the revision asked for is gone. `lease`: the lease named is gone, or was there already.
 * `no-login`: etcd knows no users. `hopeless`: the same request can't succeed.
 */
export type Next = "elsewhere" | "login" | "compacted" | "lease" | "no-login" | "hopeless";

/** A value, not something thrown: most of these are expected. */
export class EtcdFailure {
  readonly next: Next;
  /** Whether the request may have been carried out. */
  readonly isFateUnknown: boolean;
  readonly error: MeshError;

  constructor(next: Next, isFateUnknown: boolean, error: MeshError) {
    this.next = next;
    this.isFateUnknown = isFateUnknown;
    this.error = error;
  }
}

/** The value, or the failure's error thrown. */
export function must<T>(reply: T | EtcdFailure): T {
  if (reply instanceof EtcdFailure) throw reply.error;
  return reply;
}

/** Of these nothing was carried out: etcd says so before it proposes, or there was no connection to ask by. */
const NOT_DONE = /no leader|No connection established|Name resolution failed|too many requests|not capable/;
/** What the library says of a call whose time was over before it had a connection to go by. */
const NOT_SENT = /(?:^|,)(?:Waiting for LB pick|waiting for (?:name resolution|metadata filters))$/;

export function failureOf({ code, details }: Pick<ServiceError, "code" | "details">, endpoint: string): EtcdFailure {
  const said = `etcd at ${endpoint}: ${reasonIn(details)}`;
  const hopeless = (error: MeshError): EtcdFailure => new EtcdFailure("hopeless", false, error);
  switch (code) {
    case status.RESOURCE_EXHAUSTED:
      if (/space exceeded/.test(details)) {
        const advice = "compact and defragment it, or raise its --quota-backend-bytes, then `etcdctl alarm disarm`";
        return hopeless(new MeshError("store_full", `${said}: ${advice}`));
      }
      if (/message larger/.test(details)) return hopeless(new MeshError("payload_too_large", said));
      return elsewhere(said, false);
    case status.INVALID_ARGUMENT:
      if (/too large|too many operations/.test(details)) {
        return hopeless(new MeshError("payload_too_large", `${said}: write fewer or smaller items at once`));
      }
      if (/auth store is old/.test(details)) return new EtcdFailure("login", false, new MeshError("forbidden", said));
      if (/user name is empty/.test(details)) {
        return hopeless(new MeshError("forbidden", `${said}: it asks for a login, etcd://USER:PASSWORD@...`));
      }
      if (/authentication failed/.test(details)) return hopeless(new MeshError("forbidden", said));
      return hopeless(new MeshError("internal", said));
    case status.UNAUTHENTICATED:
      return new EtcdFailure("login", false, new MeshError("forbidden", said));
    case status.PERMISSION_DENIED:
      return hopeless(new MeshError("forbidden", `${said}: the user needs readwrite on the store's prefix`));
    case status.OUT_OF_RANGE:
      // The other one is a revision of the future, as a member that lags behind sees it.
      if (/compacted/.test(details)) return new EtcdFailure("compacted", false, new MeshError("internal", said));
      return elsewhere(said, false);
    case status.NOT_FOUND:
      return new EtcdFailure("lease", false, new MeshError("internal", said));
    case status.FAILED_PRECONDITION:
      if (/not enabled/.test(details)) return new EtcdFailure("no-login", false, new MeshError("forbidden", said));
      return new EtcdFailure("lease", false, new MeshError("internal", said));
    case status.UNIMPLEMENTED:
      return hopeless(
        new MeshError("config_invalid", `${said}: what listens there is no etcd of version 3.4 or later`),
      );
    case status.CANCELLED:
      return hopeless(new MeshError("draining", "the store is being closed"));
    case status.DEADLINE_EXCEEDED:
      if (NOT_SENT.test(details)) return elsewhere(`etcd at ${endpoint}: no connection in time`, false);
      return elsewhere(`etcd at ${endpoint}: no answer in time`, true);
    default:
      return elsewhere(said, !NOT_DONE.test(details));
  }
}

function elsewhere(said: string, isFateUnknown: boolean): EtcdFailure {
  return new EtcdFailure("elsewhere", isFateUnknown, new MeshError("no_quorum", said));
}

/** What people look for in what the library says of a connection. */
function reasonIn(details: string): string {
  const inner = /Last error: (?:Error: )?(?<reason>.*?)(?:\.? Resolution note: .*)?$/s.exec(details)?.groups?.[
    "reason"
  ];
  const reason = inner === undefined || inner === "null" || inner === "" ? details : inner;
  if (/ECONNREFUSED/.test(reason)) return "connection refused";
  // With its time it would be another message each time.
  return reason.replace(/^etcdserver: /, "").replace(/ \(\d{4}-\d\d-\d\dT[\d:.]+Z\)/, "");
}
