import { describe, expect, test } from "bun:test";
import { GpuHealth } from "../../src/health/gpu-health.ts";
import type { GpuReading } from "../../src/health/reading.ts";
import { defaultsOf } from "../../src/base/settings-reading.ts";
import { healthSettings } from "../../src/health/settings.ts";

const config = defaultsOf(healthSettings);

function warm(temperatureCelsius: number | undefined): GpuReading {
  return {
    uuid: "GPU-a",
    identity: { index: 0, vendor: "nvidia", name: "NVIDIA H100 80GB HBM3", slowdownCelsius: 92 },
    load: { temperatureCelsius },
  };
}

describe("a GPU's health", () => {
  test("is degraded once it has been too warm for the hold, and healthy once it has been cool again", () => {
    const health = new GpuHealth(config);
    health.look([warm(93)], 0);
    expect(health.verdict("GPU-a").health).toBe("healthy");
    expect(health.take()).toEqual({ changes: [], wakeAtMs: 10_000 });
    health.wake(10_000);
    const reason = {
      rule: "temperature",
      text: "the GPU is at 93 °C; it slows down at 92 °C",
      severity: "degraded",
      sinceMs: 0,
      recovery: "auto",
    } as const;
    const degraded = { health: "degraded", sinceMs: 10_000, reasons: [reason] } as const;
    expect(health.take().changes).toEqual([
      { uuid: "GPU-a", before: { health: "healthy", sinceMs: 0, reasons: [] }, after: degraded },
    ]);
    // Between the thresholds nothing changes, however long.
    health.look([warm(90)], 20_000);
    health.wake(200_000);
    expect(health.verdict("GPU-a")).toEqual(degraded);
    health.look([warm(89)], 201_000);
    health.wake(231_000);
    expect(health.verdict("GPU-a")).toEqual({ health: "healthy", sinceMs: 231_000, reasons: [] });
    expect(health.take().changes.map(({ after }) => after.health)).toEqual(["healthy"]);
  });

  test("that is not known any more stays for as long as the settings say, and then is forgotten", () => {
    const health = new GpuHealth(config);
    health.look([warm(95)], 0);
    health.look([warm(95)], 10_000);
    health.look([warm(undefined)], 11_000);
    expect(health.take().wakeAtMs).toBe(10_000 + config.forgetMs);
    health.wake(10_000 + config.forgetMs - 1);
    expect(health.verdict("GPU-a").health).toBe("degraded");
    health.wake(10_000 + config.forgetMs);
    expect(health.verdict("GPU-a").health).toBe("healthy");
  });
});
