/** What can be done to a router while it runs: by its control API, and by signals. Wiring only. */
import type { Operations } from "./admin/operations-api.ts";
import { MeshError } from "./base/errors.ts";
import type { Log } from "./obs/log.ts";
import { onHangup, type Stopped } from "./process.ts";
import type { Crew } from "./proxy/crew.ts";
import type { Reload } from "./reload.ts";
import type { Handover } from "./succession.ts";

export interface OperationsOptions {
  readonly reload: (why: string) => Reload;
  /** Both are null while the router starts. */
  readonly crew: () => Crew | null;
  readonly handover: () => Handover | null;
  readonly handoverTimeoutMs: () => number;
  readonly stopped: Pick<Stopped, "ask">;
  readonly log: Log;
}

export function routerOperations(options: OperationsOptions): Operations {
  const { reload, crew, handover, handoverTimeoutMs, stopped, log } = options;
  const operations: Operations = {
    reload: () => reload("POST /reload"),
    workers: () => ({ workers: crew()?.seats() ?? [], retiring: crew()?.retiring ?? 0 }),
    async restartWorkers() {
      await crew()?.replaceAll(handoverTimeoutMs());
      log.info("every worker was replaced", { retiring: crew()?.retiring });
    },
    async upgrade(executable) {
      const to = handover();
      if (to === null) throw new MeshError("starting", "the router is not ready yet; try again in a moment");
      const upgraded = await to.to(executable);
      stopped.ask("upgrade");
      return upgraded;
    },
  };
  onHangup(
    () => void reload("SIGHUP"),
    () => stopped.ask("SIGHUP"),
  );
  const onUpgrade = (): Promise<unknown> => operations.upgrade("");
  process.on("SIGUSR1", () => void onUpgrade().catch((error: unknown) => log.warn("there is no upgrade", { error })));
  // For operators and tests: the first worker fails as by a bug, and is replaced.
  process.on("SIGUSR2", () => crew()?.crash(0));
  return operations;
}
