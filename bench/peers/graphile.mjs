// Graphile Worker: by default one job is fetched and one completed at a time; with its local queue a process
// fetches `size` jobs ahead and completes them in batches.

import { Logger, makeWorkerUtils, run } from "graphile-worker";
import pg from "pg";

// what its own pool would say: one job, one connection, and two to spare
const pool = (slots) => new pg.Pool({ max: slots + 2 });
const logger = new Logger(() => () => {});

export async function open(options) {
  const pgPool = pool(options.slots ?? options.at_once ?? 10);
  // Graphile Worker asks for both
  pgPool.on("error", () => {});
  pgPool.on("connect", (client) => client.on("error", () => {}));
  const utils = await makeWorkerUtils({ pgPool, logger });
  let runner;
  const batching = {
    localQueue: { size: 500, refetchDelay: { durationMs: 10 } },
    completeJobBatchDelay: 0,
    failJobBatchDelay: 0,
  };
  return {
    setup: () => utils.migrate(),
    one: (seq) => utils.addJob("noop", { seq }),
    many: (seqs) => utils.addJobs(seqs.map((seq) => ({ identifier: "noop", payload: { seq } }))),
    async work(onStart) {
      runner = await run({
        pgPool,
        logger,
        noHandleSignals: true,
        taskList: { noop: ({ seq }) => onStart(seq) },
        preset: { worker: { concurrentJobs: options.slots, ...(options.batching ? batching : {}) } },
      });
    },
    async close() {
      await runner?.stop();
      await utils.release();
    },
  };
}
