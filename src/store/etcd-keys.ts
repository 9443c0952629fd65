/**
 * Where the store's things lie in etcd, below `/infermesh/CLUSTER/`:
 *
 *     identity                 which mesh this is, and the version of this layout
 *     policies/.revision       the store's revision, and what the last transaction did (`Stamp`)
 *     policies/KIND/NAME       one item, as JSON; names may have slashes in them
 *     done/KEY                 what became of a write with that idempotency key; gone after an hour or so
 *     ledger/TENANT/MODEL      who holds which share of a quota
 */
import { type ItemKey, keyOf } from "../policy/item.ts";
import { KINDS } from "../policy/spec.ts";

export const ROOT = "/infermesh/";

export class EtcdKeys {
  readonly prefix: string;
  readonly identity: Buffer;
  /** Everything that is watched. */
  readonly policies: string;
  readonly revision: Buffer;

  constructor(cluster: string) {
    this.prefix = `${ROOT}${cluster}/`;
    this.identity = Buffer.from(`${this.prefix}identity`);
    this.policies = `${this.prefix}policies/`;
    this.revision = Buffer.from(`${this.policies}.revision`);
  }

  item(key: ItemKey): Buffer {
    return Buffer.from(`${this.policies}${keyOf(key)}`);
  }

  done(key: string): Buffer {
    return Buffer.from(`${this.prefix}done/${key}`);
  }

  ledger(quota: string): Buffer {
    return Buffer.from(`${this.prefix}ledger/${quota}`);
  }

  isRevision(key: Uint8Array): boolean {
    return this.revision.equals(key);
  }

  /** Undefined for a key below `policies/` that can be no item's. */
  itemKeyOf(key: Uint8Array): ItemKey | undefined {
    const path = Buffer.from(key).toString().slice(this.policies.length);
    const slash = path.indexOf("/");
    const kind = KINDS.find((each) => each === path.slice(0, Math.max(0, slash)));
    return kind === undefined ? undefined : { kind, name: path.slice(slash + 1) };
  }
}
