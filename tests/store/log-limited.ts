/** A process that writes 150 entries of 64 KiB to a log, and says on standard output how it goes: `bun log-limited.ts PATH`. */
import { writeSync } from "node:fs";
import { openLog } from "../../src/store/log.ts";
import { entry, IDENTITY, LOG_THREAD } from "./log-bed.ts";

const COUNT = 150;

if (import.meta.main) {
  const log = (await openLog(process.argv[2] ?? "", IDENTITY, LOG_THREAD))!;
  const done = Promise.withResolvers<void>();
  let number = 0;
  const write = (): void => {
    number += 1;
    log.write({ number, entries: [entry(number, 1, 65_536)] });
  };
  log.onFailure = ({ code }) => void writeSync(1, `${code}\n`);
  log.onRecovered = () => void writeSync(1, "recovered\n");
  log.onDurable = (durable) => {
    if (durable < COUNT) write();
    else done.resolve();
  };
  write();
  await done.promise;
  await log.close();
  writeSync(1, `durable ${number}\n`);
}
