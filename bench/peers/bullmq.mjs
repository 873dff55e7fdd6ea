// BullMQ on a Redis with its default settings, which does not write each change to its disk. Done jobs are
// removed, as the other queues do or are told to.

import { Queue, Worker } from "bullmq";

const QUEUE = "noop";
const done = { removeOnComplete: true, removeOnFail: true };

export async function open(options) {
  const connection = { host: "127.0.0.1", port: Number(process.env.REDIS_PORT) };
  const queue = new Queue(QUEUE, { connection, defaultJobOptions: done });
  queue.on("error", (error) => console.error(String(error)));
  await queue.waitUntilReady();
  let worker;
  return {
    setup: () => queue.obliterate({ force: true }),
    one: (seq) => queue.add("noop", { seq }),
    many: (seqs) => queue.addBulk(seqs.map((seq) => ({ name: "noop", data: { seq } }))),
    async work(onStart) {
      worker = new Worker(QUEUE, async (job) => onStart(job.data.seq), { connection, concurrency: options.slots });
      worker.on("error", (error) => console.error(String(error)));
      await worker.waitUntilReady();
    },
    async close() {
      await worker?.close(true);
      await queue.close();
    },
  };
}
