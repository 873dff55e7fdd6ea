// PostGraphile 5 over the tables of tenants, as the role of the application under the same row-level security. It is
// told the relations that have no foreign key in the database, and its counts are a computed column (peers.sql).
//
//   node postgraphile.mjs PORT      the tenant comes in the header x-tenant, and nobody checks it

import { createServer } from "node:http";
import { grafserv } from "postgraphile/grafserv/node";
import { makePgService } from "postgraphile/adaptors/pg";
import { PostGraphileAmberPreset } from "postgraphile/presets/amber";
import { postgraphile } from "postgraphile";
import { jsonPgSmartTags } from "postgraphile/utils";

const port = Number(process.argv[2]);
const sortable = { behavior: ["+orderBy"] };
const tags = jsonPgSmartTags({
  version: 1,
  config: {
    class: {
      "tenant.finding": {
        tags: {
          foreignKey: [
            "(tenant_id, task_id) references tenant.task (tenant_id, id)|@foreignFieldName findings|@fieldName task",
            "(tenant_id, project_id, content_id) references tenant.finding_content (tenant_id, project_id, id)|@fieldName content",
          ],
        },
        attribute: { severity: { tags: sortable }, id: { tags: sortable } },
      },
      "tenant.task": { attribute: { id: { tags: sortable } } },
      "tenant.project": { attribute: { id: { tags: sortable } } },
    },
  },
});

const instance = postgraphile({
  extends: [PostGraphileAmberPreset],
  plugins: [tags],
  pgServices: [
    makePgService({
      connectionString: process.env.DATABASE_URL,
      schemas: ["tenant"],
      pubsub: false,
      poolConfig: { max: 10 },
    }),
  ],
  grafserv: { port, graphiql: false, watch: false, graphqlPath: "/graphql" },
  grafast: {
    explain: false,
    context: (request) => ({ pgSettings: { "tamiz.tenant_id": request.node.req.headers["x-tenant"] } }),
  },
});

if (process.argv[3] === "schema") {
  const { printSchema } = await import("graphql");
  console.log(printSchema(await instance.getSchema()));
  process.exit(0);
}
const server = createServer();
// a busy connection is not taken for an idle one, which ended runs
server.keepAliveTimeout = 0;
server.requestTimeout = 0;
await instance.createServ(grafserv).addTo(server);
server.listen(port, "127.0.0.1", () => console.log("ready"));
// the bench is gone
process.stdin.on("end", () => process.exit(0)).resume();
