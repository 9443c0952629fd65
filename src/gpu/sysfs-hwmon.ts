/** A card's sensors, as hwmon shows them: which is which is told by a label where there is one. */
import type { KernelFolder } from "./sysfs-folder.ts";

const SENSOR = /^(temp|power|energy)(\d{1,2})_label$/;

export class Hwmon {
  readonly folder: KernelFolder;
  /** "temp edge": "temp1". */
  readonly #labelled = new Map<string, string>();

  constructor(folder: KernelFolder) {
    this.folder = folder;
    for (const name of folder.names(SENSOR)) {
      const [, kind, number] = SENSOR.exec(name) ?? [];
      const label = folder.text(name)?.toLowerCase();
      if (label !== undefined && !this.#labelled.has(`${kind} ${label}`)) {
        this.#labelled.set(`${kind} ${label}`, `${kind}${number}`);
      }
    }
  }

  /** The device's own, by its name; some have others for parts of them ("i915_gt0"). */
  static of(device: KernelFolder, names: readonly string[]): Hwmon | undefined {
    const hwmon = device.in("hwmon");
    const folders = hwmon.names(/^hwmon\d{1,4}$/).map((name) => hwmon.in(name));
    const own = folders.find((folder) => names.includes(folder.text("name") ?? ""));
    return own === undefined ? undefined : new Hwmon(own);
  }

  /** "temp1", by its label; undefined for one that is not there. */
  sensor(kind: "temp" | "power" | "energy", label: string): string | undefined {
    return this.#labelled.get(`${kind} ${label}`);
  }

  /** Of what a sensor tells, in degrees: `what` is "input", "crit", "emergency". A sensor that is broken tells of 0. */
  celsius(sensor: string | undefined, what: "input" | "crit" | "emergency" = "input"): number | undefined {
    const thousandths = sensor === undefined ? undefined : this.folder.whole(`${sensor}_${what}`);
    return thousandths === undefined || thousandths === 0 ? undefined : thousandths / 1000;
  }

  /** Of a figure in millionths: microwatts, microjoules. */
  millionths(name: string): number | undefined {
    return this.folder.amount(name, 1e6);
  }

  /** The same of a limit, of which 0 means that there is none. */
  limit(name: string): number | undefined {
    return this.millionths(name) || undefined;
  }

  /** Of its fans' controls, 0 to their greatest. */
  fans(): number[] | undefined {
    const shares = this.folder.names(/^pwm\d{1,2}$/).flatMap((name) => {
      const now = this.folder.amount(name);
      const greatest = this.folder.amount(`${name}_max`) ?? 255;
      return now === undefined || greatest === 0 || now > greatest ? [] : [now / greatest];
    });
    return shares.length === 0 ? undefined : shares;
  }
}
