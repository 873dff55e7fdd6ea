// The GraphiQL page of Tamiz, bundled once with esbuild (README.md says how).
// The token is typed into the headers editor; it never enters the URL and is kept nowhere.
import { GraphiQL } from 'graphiql';
import { createGraphiQLFetcher } from '@graphiql/toolkit';
import { createRoot } from 'react-dom/client';
import 'graphiql/graphiql.css';

const url = new URL('graphql', document.baseURI);
const subscriptionUrl = new URL(url);
subscriptionUrl.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';

const fetcher = createGraphiQLFetcher({ url: url.href, subscriptionUrl: subscriptionUrl.href });

const query = `# Put your token into the headers editor below:
#   { "Authorization": "Bearer tmz_..." }
# Ctrl+Enter runs the query, Ctrl+Space completes it.

{
  viewer { __typename }
}
`;

createRoot(document.getElementById('graphiql')).render(
  <GraphiQL
    fetcher={fetcher}
    defaultQuery={query}
    defaultHeaders={'{\n  "Authorization": "Bearer "\n}'}
    isHeadersEditorEnabled
    defaultEditorToolsVisibility="headers"
    shouldPersistHeaders={false}
  />,
);
