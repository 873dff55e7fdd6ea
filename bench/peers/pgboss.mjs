// pg-boss: by default each worker polls every two seconds for one job. With batches of 50 it goes on while they
// come back full, and LISTEN/NOTIFY wakes idle workers.

import { PgBoss } from "pg-boss";

const QUEUE = "noop";

export async function open(options) {
  const boss = new PgBoss({
    host: process.env.PGHOST,
    user: process.env.PGUSER,
    database: process.env.PGDATABASE,
    max: (options.slots ?? options.at_once ?? 10) + 2,
    useListenNotify: Boolean(options.batching),
  });
  boss.on("error", (error) => console.error(String(error)));
  await boss.start();
  return {
    async setup() {
      await boss.createQueue(QUEUE, { notify: true });
    },
    one: (seq) => boss.send(QUEUE, { seq }),
    many: (seqs) => boss.insert(QUEUE, seqs.map((seq) => ({ data: { seq } }))),
    async work(onStart) {
      const settings = options.batching
        ? { batchSize: 50, burstWhenBatchFull: true, localConcurrency: options.slots / 5, pollingIntervalSeconds: 0.5 }
        : { localConcurrency: options.slots };
      await boss.work(QUEUE, settings, async (jobs) => {
        for (const job of jobs) onStart(job.data.seq);
      });
    },
    close: () => boss.stop({ graceful: false }),
  };
}
