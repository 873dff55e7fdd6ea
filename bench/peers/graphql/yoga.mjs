// GraphQL Yoga with pg and DataLoader, written as one would where speed matters: one transaction per request in the
// tenant's setting, one prepared statement per level, keyset pages by lateral joins, and no column that is not shown.
//
//   node yoga.mjs PORT      the tenant comes in the header x-tenant, and nobody checks it

import { createServer } from "node:http";
import DataLoader from "dataloader";
import { createSchema, createYoga } from "graphql-yoga";
import pg from "pg";

const port = Number(process.argv[2]);
const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL, max: 10 });
pool.on("error", () => {});
// times as text with a T between, not as Dates that become text again
const types = { getTypeParser: (oid, format) => (oid === 1184 ? (text) => text.replace(" ", "T") : pg.types.getTypeParser(oid, format)) };

const SEVERITIES = ["INFO", "LOW", "MEDIUM", "HIGH", "CRITICAL"];
const typeDefs = /* GraphQL */ `
  enum Severity { INFO LOW MEDIUM HIGH CRITICAL }
  enum TaskStatus { QUEUED RUNNING RETRYING TIMEOUT COMPLETED FAILED DEAD_LETTER CANCELLED }
  type Query {
    node(id: ID!): Task
    projects(first: Int! = 20, after: ID): ProjectConnection!
  }
  type ProjectConnection { nodes: [Project!]! }
  type Project {
    id: ID!
    name: String!
    findingSeverityCounts: SeverityCounts!
    tasks(first: Int! = 20, after: ID): TaskConnection!
  }
  type SeverityCounts { critical: Int! high: Int! medium: Int! low: Int! info: Int! }
  type TaskConnection { nodes: [Task!]! }
  type Task {
    id: ID!
    status: TaskStatus!
    scanType: String!
    createdAt: String!
    finishedAt: String
    findings(first: Int! = 20): FindingConnection!
  }
  type FindingConnection { nodes: [Finding!]! }
  type Finding { id: ID! severity: Severity! ruleId: String! title: String! file: String line: Int }
`;

/** One request's transaction: begun by the first question, in the tenant's setting, in one message. */
class Transaction {
  constructor(tenant) {
    if (!/^[0-9a-f-]{36}$/.test(tenant)) throw new Error("x-tenant is no id");
    this.tenant = tenant;
  }
  async begin() {
    const client = await pool.connect();
    await client.query(`begin; set local tamiz.tenant_id = '${this.tenant}'`);
    return client;
  }
  async rows(name, text, values) {
    this.client ??= this.begin();
    const client = await this.client;
    return (await client.query({ name, text, values: [this.tenant, ...values], types })).rows;
  }
  async end() {
    if (!this.client) return;
    const client = await this.client;
    await client.query("commit");
    client.release();
  }
}

/** Keys of one page size are one statement; the sizes of a query are few. */
const paged = (load) =>
  new DataLoader(
    async (keys) => {
      const pages = new Map();
      for (const first of new Set(keys.map((key) => key.first))) {
        const ids = keys.filter((key) => key.first === first).map((key) => key.id);
        for (const row of await load(ids, first)) {
          const key = `${row.parent} ${first}`;
          const page = pages.get(key);
          if (page) page.push(row);
          else pages.set(key, [row]);
        }
      }
      return keys.map((key) => pages.get(`${key.id} ${key.first}`) ?? []);
    },
    { cacheKeyFn: (key) => `${key.id} ${key.first}` },
  );

const NO_COUNTS = { critical: 0, high: 0, medium: 0, low: 0, info: 0 };
const WORDS = ["info", "low", "medium", "high", "critical"];

function loaders(tx) {
  return {
    tasksOf: paged((projects, first) =>
      tx.rows(
        "tasks",
        `select t.project_id as parent, t.id, t.status, t.type, t.created_at, t.finished_at
         from unnest($2::uuid[]) parent(id)
         cross join lateral (
             select project_id, id, status, type, created_at, finished_at from tenant.task
             where tenant_id = $1 and project_id = parent.id order by id desc limit $3) t
         order by t.id desc`,
        [projects, first],
      ),
    ),
    findingsOf: paged((tasks, first) =>
      tx.rows(
        "findings",
        `select f.task_id as parent, f.id, f.severity, f.rule_id, f.title, f.file_path, f.line
         from unnest($2::uuid[]) parent(id)
         cross join lateral (
             select f.task_id, f.id, f.severity, c.rule_id, c.title, c.file_path, c.line
             from tenant.finding f
             cross join lateral (
                 select rule_id, title, file_path, line from tenant.finding_content c
                 where c.tenant_id = f.tenant_id and c.project_id = f.project_id and c.id = f.content_id limit 1) c
             where f.tenant_id = $1 and f.task_id = parent.id order by f.severity desc, f.id desc limit $3) f
         order by f.severity desc, f.id desc`,
        [tasks, first],
      ),
    ),
    countsOf: new DataLoader(async (projects) => {
      const counts = new Map();
      const rows = await tx.rows(
        "counts",
        `select project_id, severity, count(*)::int as count from tenant.finding
         where tenant_id = $1 and project_id = any($2) group by project_id, severity`,
        [projects],
      );
      for (const row of rows) {
        const known = counts.get(row.project_id) ?? { ...NO_COUNTS };
        known[WORDS[row.severity]] = row.count;
        counts.set(row.project_id, known);
      }
      return projects.map((id) => counts.get(id) ?? NO_COUNTS);
    }),
  };
}

const resolvers = {
  Query: {
    node: async (_, { id }, { tx }) =>
      (await tx.rows("task", "select id, status, type, created_at, finished_at from tenant.task where tenant_id = $1 and id = $2", [id]))[0],
    projects: async (_, { first, after }, { tx }) => ({
      nodes: await tx.rows(
        "projects",
        "select id, name from tenant.project where tenant_id = $1 and ($2::uuid is null or id < $2) order by id desc limit $3",
        [after ?? null, first],
      ),
    }),
  },
  Project: {
    findingSeverityCounts: (project, _, { loaders }) => loaders.countsOf.load(project.id),
    tasks: async (project, { first }, { loaders }) => ({ nodes: await loaders.tasksOf.load({ id: project.id, first }) }),
  },
  Task: {
    status: (task) => task.status.toUpperCase(),
    scanType: (task) => task.type,
    createdAt: (task) => task.created_at,
    finishedAt: (task) => task.finished_at,
    findings: async (task, { first }, { loaders }) => ({ nodes: await loaders.findingsOf.load({ id: task.id, first }) }),
  },
  Finding: {
    severity: (finding) => SEVERITIES[finding.severity],
    ruleId: (finding) => finding.rule_id,
    file: (finding) => finding.file_path,
  },
};

const yoga = createYoga({
  schema: createSchema({ typeDefs, resolvers }),
  graphiql: false,
  landingPage: false,
  logging: false,
  cors: false,
  multipart: false,
  context: ({ request }) => {
    const tx = new Transaction(request.headers.get("x-tenant") ?? "");
    return { tx, loaders: loaders(tx) };
  },
  plugins: [
    {
      onExecute: ({ args }) => ({ onExecuteDone: () => args.contextValue.tx.end() }),
    },
  ],
});
const server = createServer(yoga);
// a busy connection is not taken for an idle one, which ended runs
server.keepAliveTimeout = 0;
server.requestTimeout = 0;
server.listen(port, "127.0.0.1", () => console.log("ready"));
// the bench is gone
process.stdin.on("end", () => process.exit(0)).resume();
